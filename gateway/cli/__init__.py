"""The `headwater` command: one file for each subcommand, imported only when it is called."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Any, Literal

import click

from boards.errors import HeadwaterError
from gateway import __version__
from gateway.logs import LogSettings

COMMANDS = {
    "demo": "a simulated board, a broker, the relay and the page, in one process",
    "run": "the device: sample a board and publish to MQTT",
    "relay": "the relay: from MQTT to browsers and other subscribers",
    "token": "make a token that lets somebody read streams from a relay",
    "provision": "certificates and the broker's access list: who may connect, and as whom",
    "broker": "an MQTT broker for trying things out",
    "sub": "print a stream from the broker",
    "doctor": "what is right with this machine, and what to do about the rest",
    "status": "how devices are: queues, losses, load, clock",
    "audit": "account for every frame of a stream",
    "boards": "the boards there are, and whether they can be used here",
}
"""Name to what it is; the module is `gateway.cli.<name>`, the function `command`."""


class Commands(click.Group):
    """Imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"gateway.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read our output has enough; click would make it exit code 1
            _discard_output()
            return 0

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try 'headwater demo' first, and 'headwater COMMAND --help' for examples.",
)
@click.version_option(__version__, message="headwater %(version)s")
@click.option("-v", "--verbose", count=True, help="Say more; twice: say everything.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="HEADWATER_LOG_FORMAT",
    help="How it is logged: for people, or a JSON object a line.",
)
@click.pass_context
def root(context: click.Context, verbose: int, log_format: Literal["text", "json"]) -> None:
    """Headwater, a sensor gateway: every sample is delivered or declared lost."""
    context.obj = LogSettings(verbose, log_format)
    context.obj.set_up()


def main() -> None:
    """Run the command; what goes wrong on purpose is one line a problem and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without 'µ' ends no stream
    try:
        code: Any = root(prog_name="headwater", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = 2
    except click.ClickException as error:
        _complain(_usage(error))
        code = 2
    except HeadwaterError as error:
        _complain(str(error))
        code = 2
    except OSError as error:  # such as a full disk behind our output
        _complain(str(error))
        _discard_output()
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    help_line = f" See '{context.command_path} --help'." if context else ""
    return f"{error.format_message().rstrip('.')}.{help_line}"


def _complain(problems: str) -> None:
    for line in problems.splitlines():
        click.echo(f"headwater: {line}", err=True)


def _discard_output() -> None:
    """Point standard output elsewhere, so that its last flush is silent."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
