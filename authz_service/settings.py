"""Every limit and every address of the service, by name and with its unit; read once from AUTHZ_* at start."""

from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SANDBOX_ROOT_KEY = "sandbox-only-root-key-never-for-production"
"""Public on purpose: it guards nothing but synthetic data. `authz serve` refuses it beside a DATABASE_URL."""

_SHORTER_FIRST: Final = (
    ("record_reserve_seconds", "deadline_seconds", "else no sale is ever decided"),
    ("hot_lock_timeout_ms", "deadline_seconds", "a till must hear of a lock in its time"),
    ("redis_timeout_seconds", "deadline_seconds", "a hint must not cost the answer"),
    ("redecide_wait_limit_seconds", "deadline_seconds", "a sale is decided again within its time"),
    ("deadline_seconds", "stall_seconds", "a statement that is in time has lost no connection"),
    ("office_lock_timeout_ms", "office_statement_timeout_ms", "waiting for a lock is a part of a statement"),
    ("office_statement_timeout_ms", "office_deadline_seconds", "what the server says must be heard"),
    ("office_deadline_seconds", "shutdown_seconds", "a request that is under way must get its answer"),
    ("console_statement_timeout_ms", "console_deadline_seconds", "what the server says must be heard"),
    ("console_idle_seconds", "console_session_seconds", "else nobody is ever idle"),
    ("closing_lock_timeout_ms", "closing_statement_timeout_ms", "waiting for a lock is a part of a statement"),
    ("event_connect_timeout_seconds", "event_timeout_seconds", "connecting is a part of an attempt"),
    ("event_journal_margin_seconds", "event_look_back_seconds", "the look back finds what is older"),
    ("event_look_back_seconds", "event_retention_days", "else what was removed is told again"),
)
"""(shorter, longer, why): pairs that make no sense in another order."""
_PARTS_OF_AN_END: Final = 3
_UNIT_SECONDS: Final = {"seconds": 1.0, "ms": 0.001, "days": 86_400.0}


class Settings(BaseSettings):
    """Fields are AUTHZ_<NAME> in the environment; the two addresses go by their usual names."""

    model_config = SettingsConfigDict(env_prefix="AUTHZ_", extra="ignore", frozen=True)

    # Where things are. Without addresses a real PostgreSQL and Valkey are started from wheels below `data_dir`.
    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    redis_url: SecretStr | None = Field(default=None, validation_alias="REDIS_URL")
    data_dir: Path = Path("var")
    """Of the embedded servers and the sandbox's tills; a directory that is nobody else's."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    """Where Prometheus scrapes `/metrics`, and nobody else comes; 0: nowhere."""
    workers: int = Field(default=1, ge=1, le=64)
    root_key: SecretStr = SecretStr(SANDBOX_ROOT_KEY)
    """From it the keys for card digests, request digests and personal fields are derived (HKDF)."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    clock_offset_file: Path | None = None
    """Demo and tests only: eight bytes, the microseconds by which the service's clock is ahead of the database's."""

    # The door.
    body_limit_bytes: int = 65_536
    body_timeout_seconds: float = 5.0
    """A till on a poor mobile line may be slow, a socket must not be held for ever."""
    waiting_per_terminal: int = 8
    """One till has one sale at a time; eight covers its retries. More is answered 429."""
    retry_after_seconds: int = 1

    # The hot path.
    deadline_seconds: float = 1.5
    """What the contract promises a till, from the moment its whole request is here: its line may be slow."""
    record_reserve_seconds: float = 0.4
    """A request picked up with less than this left is answered `not_decided` and never sent."""
    lanes: int = Field(default=2, ge=1, le=16)
    """Connections that decide at the same time in one process; each is held for the life of the process."""
    batch_limit: int = Field(default=64, ge=1, le=512)
    admission_seconds: float = 0.7
    """Expected wait above which a new request is turned away with 503 and Retry-After."""
    decide_attempts: int = 3
    """How often a family whose facts changed under the decision is decided again in one batch."""
    facts_attempts: int = 3
    """How often facts are read again because the month turned or the registry changed while they came."""
    redecide_wait_seconds: float = 0.005
    """Before the next batch it waits so long, doubled each time: who holds the family may soon be done."""
    redecide_wait_limit_seconds: float = 0.05
    """Doubled no further: it rides on until its time is up, since the answer may come any moment."""
    stall_seconds: float = 3.0
    """A hot statement that takes longer has lost its connection: it is dropped, and the outcome asked again."""

    # PostgreSQL.
    connect_timeout_seconds: float = 5.0
    hot_lock_timeout_ms: int = 200
    office_pool_size: int = 4
    """Connections for everything that is not the hot path: reads by operators, registry reloads, readiness."""
    office_statement_timeout_ms: int = 5_000
    office_lock_timeout_ms: int = 1_500
    """How long a companion's or operator's change waits for a family, or for the same request sent twice."""
    office_deadline_seconds: float = 6.0
    """So long one use of such a connection may take, the wait for it included, also where the server says nothing: its
    own `office_statement_timeout_ms`, and some time to hear of it. A till's own read has `deadline_seconds`."""
    audit_statement_timeout_ms: int = 300_000
    """For one invariant of the books; a million families take less than a minute."""
    audit_work_mem_mb: int = Field(default=256, ge=1)
    """For each sort or hash of one invariant, a few at a time: below it a million families spill to the disk."""
    audit_margin_seconds: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """By so much an id may be older than the transaction that wrote it; a check of what is new begins that earlier."""

    closing_lock_timeout_ms: int = 5_000
    """So long a close or a settlement waits for others who write; then it says so and has written nothing."""
    closing_statement_timeout_ms: int = 300_000
    """For one of their statements; a million families take less than a minute."""
    settlement_seconds: float = 300.0
    """So long the scheduler may have a connection to close a batch; a million sales take less than a minute."""
    batch_instructions_limit: int = Field(default=20_000, ge=1)
    """A batch that would have more is refused before they are made: they are made in one piece, and a process that
    makes 150 000 answers no till for three seconds. More shops than that need a larger one."""
    closing_sweep_seconds: float = 60.0
    """So long a close writes the end of holds that are over; what is left then is a reason not to close."""
    # The bank's door.
    bank_token_seconds: int = 900
    """SNAP's access tokens live 15 minutes."""
    bank_clock_seconds: float = 300.0
    """By so much a bank's X-TIMESTAMP may differ from our clock; SNAP fixes nothing."""
    bank_address_requests_per_second: float = Field(default=50.0, gt=0, allow_inf_nan=False)
    """What a process takes for long from one address at the bank's door, also of nonsense; more is answered 429. Behind
    a proxy all have its address, and it is the proxy that must tell them apart."""
    bank_partner_requests_per_second: float = Field(default=50.0, gt=0, allow_inf_nan=False)
    """The same of one bank, from all its addresses, once it has shown who it is: nobody can use up another's share."""
    bank_burst_seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """So many seconds' worth of either may come at once after a pause: a batch is told of all at once."""
    bank_senders_limit: int = Field(default=10_000, ge=1)
    """Addresses, or banks, that a process remembers for these rates: about 2 MB."""
    notice_seconds: float = 2.0
    """So often notices are looked for that came to another process, or whose batch was not known yet."""
    notices_in_a_round: int = 100
    """References whose notices are followed before the connection is given back."""
    statement_proposal_days: int = 3
    """A line of a statement that names nothing is proposed for a payout of at most so many days before or after it."""
    statement_limit_bytes: int = 50_000_000
    """Of a file that is read whole; a year of the largest programme has less than a tenth of it."""
    # Lists of families.
    roll_file_limit_bytes: int = 50_000_000
    """Of a list as it was sent; 100 000 families have a fifth of it."""
    roll_expanded_limit_bytes: int = 1_000_000_000
    """Of an XLSX once it is unpacked: a small file may claim to hold any amount."""
    roll_rows_limit: int = Field(default=500_000, ge=1)
    """Of one list. More than the largest kabupaten has; a list of the nation comes by programme."""
    roll_leaving_percent: float = Field(default=10.0, ge=0, le=100, allow_inf_nan=False)
    """A list that takes more of the families off the roll than this needs their number as an explicit option: a file
    that was cut must not empty the roll."""
    roll_settled_at_once: int = Field(default=100, ge=1, le=1_000)
    """Families whose change an applied list writes in one transaction; their tills wait for it, some milliseconds."""
    roll_settling_seconds: float = Field(default=30.0, gt=0)
    """So long one round of the sweeper goes on with a list that was applied and is not written yet."""
    security_events_per_minute: int = 60
    """Refusals at the bank's door that a process keeps in the database; more are counted only."""
    ready_timeout_seconds: float = 2.0
    """A readiness probe that takes longer says no."""
    ready_cache_seconds: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """What a probe found is what all others are told for so long: probes cannot load the database."""

    # The people of the console.
    password_letters: int = Field(default=12, ge=8, le=64)
    """The fewest letters of a password that a person chooses."""
    password_memory_kib: int = Field(default=47_104, ge=8)
    """Of one argon2id; with one round this is the first of OWASP's settings."""
    password_rounds: int = Field(default=1, ge=1)
    passwords_at_once: int = Field(default=2, ge=1, le=16)
    """So many are compared at the same time in one process, each in a thread: memory is bounded, tills go on."""

    # The console.
    console_pool_size: int = Field(default=3, ge=1)
    """Connections of one process for the people at the console."""
    console_statement_timeout_ms: int = 4_000
    console_deadline_seconds: float = 5.0
    """So long one use of such a connection may take, the wait for it included."""
    console_idle_seconds: float = 1_200.0
    """Who asks for nothing for so long signs in again: the desk may have been left."""
    console_session_seconds: float = 36_000.0
    """A working day; after it everybody signs in again."""
    console_look_seconds: float = 1_800.0
    """A family that was opened with a reason stays open so long for that person; then the reason is asked again."""
    console_tries: int = Field(default=5, ge=1)
    """After so many wrong passwords in a row a person is locked."""
    console_lock_seconds: float = 900.0
    console_wrong_seconds: float = 0.4
    """A sign-in that is refused is answered so long after it came: how much work a name has caused is not told."""
    console_address_tries_per_minute: float = Field(default=12.0, gt=0, allow_inf_nan=False)
    """Sign-ins that a process takes for long from one address, whoever is named; more is answered 429."""
    console_address_burst_seconds: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    """So many seconds' worth of them may come at once after a pause: an office has one address."""

    # Outgoing events.
    event_seconds: float = Field(default=2.0, gt=0)
    """How often committed events are numbered, and endpoints looked at for which something is due."""
    events_in_a_round: int = Field(default=1_000, ge=1)
    """Numbered, read from the books or removed in one transaction."""
    event_endpoints_at_once: int = Field(default=8, ge=1)
    """So many endpoints one process sends to at the same time; to each of them one event after the other."""
    event_timeout_seconds: float = Field(default=20.0, gt=0)
    """For an endpoint's answer; Standard Webhooks advises 15 to 30 s."""
    event_connect_timeout_seconds: float = Field(default=5.0, gt=0)
    event_lease_seconds: float = 60.0
    """So long an endpoint is left to the process that sends to it, from each event on; longer than an attempt takes and
    is written down, and when the process was killed, another one sends the event again after that."""
    event_retry_seconds: tuple[float, ...] = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
    """After each try that failed; the schedule of Standard Webhooks, which ends after three days and a bit."""
    event_retry_after_limit_seconds: float = 3_600.0
    """So much time an endpoint gets that asks for more by Retry-After."""
    event_rest_limit_seconds: float = 300.0
    """An endpoint that fails is left alone for 1 s, 2 s, 4 s and so on, up to this, whatever else waits for it."""
    event_networks: tuple[str, ...] = ()
    """Private networks in which endpoints may be, as a bank's behind its line: ["10.20.0.0/16"]."""
    event_journal_margin_seconds: float = 60.0
    """By so much a purchase's id may be older than the transaction that wrote it; what is older still is found by the
    look back."""
    event_look_back_seconds: float = 172_800.0
    """The last so many seconds of purchases are looked through for such, once a day."""
    event_retention_days: int = Field(default=30, ge=7)
    """Events and attempts are kept so long; a resend can go back no further. The books keep the facts themselves."""

    # What is watched of the neighbours, of every programme and of the books.
    health_seconds: float = Field(default=5.0, gt=0)
    """How often each process asks Redis and PostgreSQL whether they are there, and looks at its pool."""
    watch_seconds: float = Field(default=15.0, gt=0)
    """How often one process looks at every programme, by indexes alone."""
    watch_statement_timeout_ms: int = Field(default=2_000, ge=1)
    """For one of these looks; what takes longer is not told, and counted as a failure."""
    watch_look_back_seconds: float = Field(default=86_400.0, gt=0)
    """Holds that ended so long ago are looked for; what is older, the books' checks and the sweeper find."""
    watch_sums_seconds: float = Field(default=60.0, gt=0)
    """How often sums are made for which all wallets or all open holds are read."""
    watch_sums_share: float = Field(default=0.02, gt=0, le=1)
    """They are made more rarely where they would take more than this part of the time: of ten million families."""
    watch_sums_timeout_ms: int = Field(default=60_000, ge=1)
    """For one of these sums."""
    ledger_check_seconds: float = Field(default=300.0, gt=0)
    """How often the same process checks what is new in the books."""
    ledger_check_in_full_seconds: float = Field(default=86_400.0, gt=0)
    """So often at most it checks all of the books: where none, or not the last check of all, was found in order."""

    # Reports.
    report_statement_timeout_ms: int = 1_800_000
    """For one query of a report. A month of twenty million purchases takes up to twenty minutes for its categories; one
    of a city's six thousand, less than a second."""
    report_work_mem_mb: int = Field(default=64, ge=1)
    """For each sort of one of them; beyond it PostgreSQL uses the disk."""
    report_families: int = Field(default=5_000, ge=1)
    """Families one by one on a screen or a printable page: about 150 pages of paper. A CSV file has no such limit."""
    silent_hours: float = Field(default=4.0, gt=0, le=72, allow_inf_nan=False)
    """A shop that usually sells and of which nothing was heard for so many of its opening hours is silent."""
    silent_batches: int = Field(default=10, ge=1)
    """Settlement batches that say whether it usually sells: it sold in at least half of them."""

    # Signals of misuse.
    signal_seconds: float = Field(default=10.0, gt=0)
    """How often the watcher looks for new decisions, and whether a night or a cut-off is due."""
    signal_decisions_in_a_round: int = Field(default=2_000, ge=1)
    """New decisions of a programme that are looked at before the connection is given back."""
    signal_margin_seconds: float = 60.0
    """By so much a decision's id may be older than the transaction that wrote it; so far back is read again."""
    signal_window_hours: float = 6.0
    """So far back before the first new decision the watcher reads those of the same shops; the night reads all."""
    signal_run_seconds: float = 300.0
    """So long a round of one programme, or a night, may have its connection."""
    signal_before_cut_off_minutes: int = Field(default=30, ge=1)
    """So long before a cut-off the day so far is computed: what is found later is paid already."""
    signal_nights_at_most: int = Field(default=7, ge=1)
    """Nights that were missed and are made good; older ones only by `authz signals nightly --day`."""
    signal_backtest_days: int = Field(default=14, ge=1)
    """No signal is set to decline without a backtest of the same thresholds that is at most so old."""

    # The sealed books.
    seal_seconds: float = Field(default=5.0, gt=0)
    """How often committed rows are numbered and sealed; a round that finds nothing takes some milliseconds."""
    seal_round_seconds: float = Field(default=2.0, gt=0)
    """After so long a round ends and keeps what it has sealed, also where more waits: then the next one begins soon."""
    seal_statement_timeout_ms: int = Field(default=60_000, ge=1)
    """For one of its statements: books that were never sealed are sorted a slice at a time."""
    seal_block_rows: int = Field(default=512, ge=1, le=65_536)
    """Rows of a block at most: hashing them takes about 2 ms, in which this process answers no till."""
    seal_margin_seconds: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """By so much a row's time of recording may be before its transaction is seen to have begun."""
    seal_open_seconds: float = Field(default=900.0, ge=0, allow_inf_nan=False)
    """A transaction that is open for longer and has written nothing is taken for a reader's, as a check of the books.
    If it writes after all, the look back finds it."""
    seal_look_back_seconds: float = Field(default=86_400.0, gt=0)
    """How often all rows are compared with all blocks."""
    seal_key_file: Path | None = None
    """An Ed25519 private key (PEM) with which heads are signed; `authz seal key FILE` makes one."""
    seal_key: SecretStr | None = None
    """The same, where it comes by the environment."""
    seal_key_name: str = Field(default="authz", pattern=r"^[A-Za-z0-9._/-]{1,64}$")
    """Whose key it is, in each signature: a domain of the operator's, better than this one."""

    # Redis: a hint, never a truth.
    redis_timeout_seconds: float = 0.03
    redis_connect_timeout_seconds: float = 0.2
    redis_failures_to_open: int = 3
    redis_open_seconds: float = 1.0
    redis_answer_seconds: int = 600
    redis_card_lock_ms: int = 300
    redis_queue_limit: int = 1_000

    # Reference data and background work.
    registry_reload_seconds: float = 1.0
    """An unknown terminal key causes at most one look into the database in this time."""
    sweep_seconds: float = 30.0
    sweep_families: int = 100
    due_changes: int = 100
    """Families whose dated change is written in one round of the sweeper; decisions follow it without that."""
    due_changes_seconds: float = 30.0
    """So long one such round may have its connection; what it has not written by then, the next one does."""
    drain_seconds: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """Told to stop, a process is not ready any more and still takes requests for so long: until a balancer has turned
    away, which is the interval of its probes times the failures that it waits for, and a little more."""
    shutdown_seconds: float = Field(default=7.0, ge=1, allow_inf_nan=False)
    """So long each part of an end may take: requests that are under way, work in the background, connections."""
    stop_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """Workers that have not ended by then, as a frozen one, are killed by their supervisor."""
    worker_silent_seconds: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    """A worker that does not answer its supervisor for so long is replaced."""
    worker_start_seconds: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """The same of one that has not answered yet: it is loading its program."""
    worker_pause_seconds: float = 1.0
    """A worker that could not start because a neighbour was away waits so long before it is replaced."""

    @field_validator("event_networks")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)
        return networks

    @field_validator("redis_url")
    @classmethod
    def _is_of_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("not the address of a Redis (redis://, rediss:// or unix://)")
        return url

    @model_validator(mode="after")
    def _make_sense_together(self) -> Self:
        for shorter, longer, why in _SHORTER_FIRST:
            if not self._seconds(shorter) < self._seconds(longer):
                raise ValueError(f"{shorter} must be less than {longer}: {why}")
        if self.port and self.port == self.metrics_port:
            raise ValueError("metrics_port must not be port: tills need not see what is counted")
        if not self.redecide_wait_seconds <= self.redecide_wait_limit_seconds:
            raise ValueError("redecide_wait_seconds must not be more than redecide_wait_limit_seconds: it is doubled")
        if not self.event_timeout_seconds + self.office_deadline_seconds < self.event_lease_seconds:
            raise ValueError(
                "event_lease_seconds must be more than event_timeout_seconds and office_deadline_seconds together:"
                " else another process sends an event that is under way"
            )
        if not self.drain_seconds + _PARTS_OF_AN_END * self.shutdown_seconds < self.stop_seconds:
            raise ValueError(
                "stop_seconds must be more than drain_seconds and three times shutdown_seconds: else workers are killed"
                " that end in order"
            )
        return self

    def _seconds(self, name: str) -> float:
        value: float = getattr(self, name)
        return value * _UNIT_SECONDS[name.rpartition("_")[2]]


@lru_cache(maxsize=1)
def settings_from_environment() -> Settings:
    """The one reading of the environment in this process."""
    return Settings()
