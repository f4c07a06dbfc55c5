"""The gateway's errors. All descend from HeadwaterError, so one `except` catches them."""

from boards.errors import HeadwaterError


class ConfigError(HeadwaterError, ValueError):
    """The configuration cannot be used: which file, which key, what was found, what is allowed."""


class CodecError(HeadwaterError, ValueError):
    """Bytes that are not a message of the codec; nothing else is ever raised by a decoder."""


class TopicError(HeadwaterError, ValueError):
    """A name that cannot stand in a topic, or a topic that is not one of ours."""


class BrokerError(HeadwaterError, ConnectionError):
    """The broker cannot be reached, or refused us."""


class RelayError(HeadwaterError, ConnectionError):
    """The relay cannot be reached, or refused us."""


class ListenError(HeadwaterError, OSError):
    """A port or an address that cannot be listened on."""


__all__ = ["BrokerError", "CodecError", "ConfigError", "HeadwaterError", "ListenError", "RelayError", "TopicError"]
