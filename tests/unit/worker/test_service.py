"""What others rely on in a worker."""

import socket

from worker.service import new_name


def test_a_workers_name_begins_with_its_hosts_and_is_never_used_twice() -> None:
    names = {new_name() for _ in range(100)}

    # compose.yaml's health check finds a container's heartbeat by it.
    assert all(name.startswith(f"{socket.gethostname()}-") for name in names)
    assert len(names) == 100
