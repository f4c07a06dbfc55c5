"""The BeagleBone through Adafruit_BBIO, and through the kernel's IIO buffer what that library cannot hold.

pins       what is on the headers          board      the board
options    what can be set                 polled     values read one by one
library    Adafruit_BBIO, when needed      gpio       digital inputs, status LED, UART pins
advice     which line of /boot/uEnv.txt
"""

from boards.beaglebone.board import BeagleBoneBoard

__all__ = ["BeagleBoneBoard"]
