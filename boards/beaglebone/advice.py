"""What to do about an ADC that is not there: which line of `/boot/uEnv.txt` switches it on. Pure.

BeagleBoard's images load the overlay BB-ADC by themselves where U-Boot overlays are on and nothing says otherwise
(https://elinux.org/Beagleboard:BeagleBoneBlack_Debian#U-Boot_Overlays). Images with a 5.10 kernel and later take
the overlay's file name alone, earlier ones its path.
"""

from __future__ import annotations

UENV_PATH = "/boot/uEnv.txt"
OVERLAY = "BB-ADC-00A0.dtbo"
OVERLAY_LINE = f"uboot_overlay_addr4=/lib/firmware/{OVERLAY}"


def adc_advice(uenv: str | None) -> str:
    """What to change, given the text of `/boot/uEnv.txt`; None if there is no such file."""
    if uenv is None:
        return (
            f"there is no {UENV_PATH}, so this image does not come from BeagleBoard: switch on the device tree's "
            "`tscadc` node (status = 'okay', ti,adc-channels = <0 1 2 3 4 5 6 7>), and reboot"
        )
    settings = _settings(uenv)
    steps = []
    if settings.get("enable_uboot_overlays") != "1":
        steps.append("set the line `enable_uboot_overlays=1`")
    if settings.get("disable_uboot_overlay_adc") == "1":
        steps.append("remove the line `disable_uboot_overlay_adc=1`")
    if not any("BB-ADC" in value for value in settings.values()):
        steps.append(
            f"add the line `{OVERLAY_LINE}` (with {OVERLAY} alone after the `=` on images whose "
            f"{UENV_PATH} shows `<file4>.dtbo` without a path)"
        )
    if not steps:
        return (
            f"{UENV_PATH} loads the overlay, yet there is no ADC: has the board been rebooted since, and is there "
            f"/lib/firmware/{OVERLAY} or /boot/dtbs/*/overlays/{OVERLAY}? `dmesg | grep tscadc` may tell more"
        )
    return f"in {UENV_PATH} {', '.join(steps)}; then reboot"


def _settings(text: str) -> dict[str, str]:
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}
