"""What can go wrong, as a tree: each class says what the operator should do.

KolError
├── UsageError          exit 2: wrong settings, missing files or topics; nothing was started
│   ├── SettingsError
│   ├── TopicsError
│   ├── ModelError
│   ├── AccessError    the broker does not let us in, or is not the one that we trust
│   └── StateError      the data directory or changelog belongs to other settings or another format
└── FatalError          exit 1: the worker stops and a supervisor restarts it; nothing is lost
    ├── OrderError      a record was skipped or delivered out of order
    ├── FencedError     the partition has a newer owner: this worker was out of touch for too long
    ├── BrokerError     the broker could not be reached in time, or takes no more
    └── DiskError       the data directory takes no more
"""

#: What to look at when a broker does not answer; the end of the line that says so.
BROKER_ADVICE = (
    "is Kafka running there, is KOL_BROKER its address, and does KOL_BROKER_SECURITY fit?"
)


class KolError(Exception):
    """An error whose message is one line that says what is wrong and how to mend it."""

    exit_code = 1


class UsageError(KolError):
    exit_code = 2


class SettingsError(UsageError):
    pass


class TopicsError(UsageError):
    pass


class ModelError(UsageError):
    pass


class AccessError(UsageError):
    pass


class StateError(UsageError):
    pass


class FatalError(KolError):
    exit_code = 1


class OrderError(FatalError):
    pass


class FencedError(FatalError):
    pass


class BrokerError(FatalError):
    pass


class DiskError(FatalError):
    pass
