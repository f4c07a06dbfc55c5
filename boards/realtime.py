"""Real-time priority for an acquiring thread."""

from __future__ import annotations

import os
import resource

from boards.errors import LimitExceeded

DEFAULT_PRIORITY = 50
"""Above everything ordinary; interrupt threads of a PREEMPT_RT kernel have the same."""


def request_realtime(priority: int = DEFAULT_PRIORITY) -> str | None:
    """Put the calling thread under SCHED_FIFO (see sched(7)); threads and processes that it starts are ordinary.

    None if that was granted; else why not and what to do about it, and the thread goes on as it was. Raises
    LimitExceeded for a priority that SCHED_FIFO does not have.
    """
    lowest, highest = os.sched_get_priority_min(os.SCHED_FIFO), os.sched_get_priority_max(os.SCHED_FIFO)
    if not lowest <= priority <= highest:
        raise LimitExceeded(f"SCHED_FIFO has priorities from {lowest} to {highest}; found {priority}")
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except PermissionError:
        return _what_to_do(priority)
    except OSError as error:
        return (
            f"real-time priority {priority} was refused: {error.strerror}; the thread keeps its ordinary priority"
        )
    return None


def _what_to_do(priority: int) -> str:
    allowed = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    return (
        f"real-time priority {priority} is not permitted (RLIMIT_RTPRIO is {allowed}); the thread keeps its "
        f"ordinary priority. Under systemd set LimitRTPRIO={priority} or AmbientCapabilities=CAP_SYS_NICE in the "
        f"unit; in a shell put '<user> - rtprio {priority}' into /etc/security/limits.d/ and log in again"
    )
