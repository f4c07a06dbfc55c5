# Headwater. `make help` lists every target.

SHELL := /bin/bash
VENV := .venv
PYTHON := $(VENV)/bin/python
ARGS ?=
HOST ?=
HOSTS ?=
CONFIG ?=
BUNDLE ?=
DEBS ?=
KEY ?=
SSH_KEY ?= $(firstword $(wildcard $(HOME)/.ssh/id_ed25519.pub $(HOME)/.ssh/id_ecdsa.pub $(HOME)/.ssh/id_rsa.pub))
BASE ?=
XZ ?=
DEV ?=
IMAGE ?=
YES ?=
MINUTES ?= 10
ARCH ?= $(shell dpkg --print-architecture 2>/dev/null)
SUITE ?= bookworm

.DEFAULT_GOAL := help
.PHONY: help demo test lint types pytest page image flash hw-test vm-test deploy deploy-relay update bench soak lock format wheel deb clean

help: ## list every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/run.stamp page ## a simulated board, a broker, the relay and the page: one command (ARGS="--port 8081")
	@exec $(VENV)/bin/headwater demo $(ARGS)

test: $(VENV)/test.stamp page ## lint, types, Python tests and page tests
	@$(MAKE) --no-print-directory lint types
	$(PYTHON) deploy/build_page.py --check
	$(PYTHON) -m pytest --numprocesses auto --dist loadscope $(ARGS)

lint: $(VENV)/test.stamp ## ruff
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: $(VENV)/test.stamp ## mypy --strict
	$(PYTHON) -m mypy

pytest: $(VENV)/test.stamp page ## the Python tests alone (ARGS="tests/gateway -k codec")
	$(PYTHON) -m pytest $(ARGS)

hw-test: ## the tests that need a board, over ssh (HOST=debian@192.168.7.2)
	@deploy/hw-test.sh "$(HOST)" $(ARGS)

vm-test: $(VENV)/vm.stamp page ## whole systems: packages built, installed, booted, updated (ARGS="tests/vm/test_deploy.py")
	$(PYTHON) -m pytest $(or $(ARGS),tests/vm)

DEPLOY = $(PYTHON) -m deploy.rollout $(if $(HOST),--host "$(HOST)") $(if $(HOSTS),--hosts "$(HOSTS)") \
	$(if $(CONFIG),--config "$(CONFIG)") $(if $(BUNDLE),--bundle "$(BUNDLE)") $(if $(DEBS),--debs "$(DEBS)") \
	$(if $(KEY),--key "$(KEY)") $(ARGS)

deploy: $(VENV)/run.stamp ## package and configuration to boards, with fall-back (HOST=debian@bbb1 CONFIG=device.toml)
	@$(DEPLOY)

deploy-relay: $(VENV)/run.stamp ## the same for a relay (HOST=pi@relay CONFIG=relay.toml)
	@$(DEPLOY) --role relay

update: $(VENV)/run.stamp ## sign the packages in dist/ as updates to be carried by hand
	@$(PYTHON) -m deploy.rollout.sign $(ARGS)

bench: $(VENV)/test.stamp ## measure, print and write bench-results/*.json
	$(PYTHON) -m tests.bench $(ARGS)

soak: $(VENV)/test.stamp ## 200 kills of the outbox, every fault at random, then the audit (MINUTES=10 ARGS="--seed 5")
	HEADWATER_KILLS=200 $(PYTHON) -m pytest -q --timeout 900 tests/gateway/device/test_outbox_kill.py
	$(PYTHON) -m tests.faults.soak --minutes $(MINUTES) $(ARGS)

page: $(VENV)/run.stamp ## build the browser's page, if its sources changed
	@$(PYTHON) deploy/build_page.py

wheel: $(VENV)/run.stamp ## build the wheel and the source archive into dist/
	$(PYTHON) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

deb: $(VENV)/deb.stamp page ## build the Debian package into dist/ (ARCH=armhf|arm64|amd64 SUITE=bookworm|trixie)
	@deploy/deb.sh "$(ARCH)" "$(SUITE)"

image: $(VENV)/image.stamp ## an SD card for the BeagleBone Black into dist/ (SSH_KEY=… BASE=official.img.xz XZ=1 SUITE=bookworm)
	@$(MAKE) --no-print-directory deb ARCH=armhf
	@$(PYTHON) -m deploy.image.build --suite "$(SUITE)" $(if $(SSH_KEY),--ssh-key "$(SSH_KEY)") \
		$(if $(BASE),--base "$(BASE)") $(if $(XZ),--xz) $(ARGS)

flash: ## write it to a card, never to another disk (DEV=/dev/sdX IMAGE=… YES=1)
	@python3 -m deploy.image.flash $(if $(YES),--yes) -- "$(IMAGE)" "$(DEV)"

format: $(VENV)/test.stamp ## let ruff format the code
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

lock: $(VENV)/test.stamp ## resolve the newest versions into requirements*.lock
	deploy/lock.sh

clean: ## remove what was installed and built here
	rm -rf $(VENV) build dist bench-results gateway/relay/web/dist gateway/relay/web/node_modules

$(VENV)/run.stamp: requirements.lock pyproject.toml deploy/setup.sh
	@deploy/setup.sh run

$(VENV)/test.stamp: requirements-test.lock $(VENV)/run.stamp
	@deploy/setup.sh test

$(VENV)/deb.stamp: $(VENV)/run.stamp
	@deploy/setup.sh deb

$(VENV)/image.stamp: $(VENV)/deb.stamp
	@deploy/setup.sh image

$(VENV)/vm.stamp: $(VENV)/test.stamp $(VENV)/image.stamp
	@deploy/setup.sh vm
