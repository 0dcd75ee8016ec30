"""What Valkey has held while the tests ran: looked at every few seconds, since it forgets."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from redis import Redis, RedisError

from tests.written import keep

EVERY_SECONDS = 3.0


@contextmanager
def watched(redis_url: str) -> Iterator[None]:
    """Every key and value that lives for some seconds is kept to be searched."""
    seen: set[bytes] = set()
    ends = Event()

    def watch() -> None:
        with Redis.from_url(redis_url) as valkey:
            while True:
                is_over = ends.wait(EVERY_SECONDS)
                _look(valkey, seen)
                if is_over:
                    return

    thread = Thread(target=watch, name="valkey-contents")
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


def _look(valkey: "Redis", seen: set[bytes]) -> None:
    try:
        new = [key for key in valkey.scan_iter(count=1_000) if key not in seen]
        seen.update(new)
        keep("valkey", *(key + b" " + (valkey.dump(key) or b"") for key in new))
    except (RedisError, OSError):
        # Somebody does it harm just now; the next look sees what is there then.
        return
