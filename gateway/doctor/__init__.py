"""What `headwater doctor` looks at: each check gives findings, one line each, and changes nothing.

finding    ok, or what to do               machine    the tree of files, and who holds which of them
software   Python and packages             clock      date, synchronisation, hardware clock
board      the board, and its streams      beaglebone its library, bootloader and ADC
capture    the right to capture by IIO     ports      serial ports
realtime   real-time priority              storage    state directory, room on the disk
network    broker, TLS, login, listening   examine    all checks for a configuration
"""

from gateway.doctor.examine import examine_device, examine_machine, examine_relay
from gateway.doctor.finding import Finding
from gateway.doctor.machine import Machine

__all__ = ["Finding", "Machine", "examine_device", "examine_machine", "examine_relay"]
