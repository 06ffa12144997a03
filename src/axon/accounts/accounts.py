"""From an Authorization header to a principal, and from a principal to the subject."""

import asyncio
import math
from dataclasses import replace

from axon.accounts.credential import PASS_PREFIX, Credential, CredentialMac, secret_of
from axon.accounts.errors import AccountsUnavailable, InvalidCredential, NotPermitted
from axon.accounts.held import RefusedKeys
from axon.accounts.lookups import Lookups
from axon.accounts.passes import PassClaims, PassSigner, UserPass
from axon.accounts.principal import Principal
from axon.accounts.replica import AccountsOptions, Replica
from axon.accounts.residency import Cells
from axon.accounts.store import read_credentials
from axon.base import MICROS_PER_SECOND, Clock, Randomness, TaskOwner, user_number
from axon.sealing import Keyring
from axon.stores import Postgres
from axon.telemetry import gauge, log

PASS_LIFETIME_S_MAX = 86_400
"""A device fetches its next pass at least daily, so that a lost one is soon worthless."""

_age = gauge(
    "axon_accounts_age_seconds",
    "Seconds since PostgreSQL last confirmed the API keys this process serves.",
)


class Accounts:
    """Verifies API keys and user passes, in memory whenever it can.

    A poll takes over changes every `poll_every_ms`, so a revocation counts everywhere within a
    second. While PostgreSQL is away known keys go on for `staleness_max_s`; what cannot be told
    is AccountsUnavailable, never InvalidCredential. For one event loop.
    """

    def __init__(
        self,
        postgres: Postgres,
        keyring: Keyring,
        clock: Clock,
        randomness: Randomness,
        options: AccountsOptions,
    ) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._identity = keyring.identity
        self._clock = clock
        self._randomness = randomness
        self._options = options
        self._mac = CredentialMac(keyring)
        self._signer = PassSigner(keyring, options.cells.region)
        self._tasks = TaskOwner(self._task_failed)
        self._lookups = Lookups(self._read, self._tasks)
        self._replica = Replica(postgres, clock, options)
        self._refused = RefusedKeys()
        self._principals: dict[bytes, Principal] = {}
        self._first_end_us = math.inf

    async def start(self) -> None:
        """Read the snapshot, ask PostgreSQL once, and keep asking; never fails for an outage."""
        await self._replica.load()
        await self.refresh()
        self._tasks.start(self._poll(), "accounts.poll")

    async def stop(self) -> None:
        """Stop asking and save what is unsaved; who waits for an answer is told to try again."""
        await self._tasks.cancel()
        await self._replica.save_rest()

    @property
    def age_s(self) -> float:
        """Return how many seconds ago PostgreSQL last confirmed the keys; inf for never."""
        return self._replica.age_s

    @property
    def snapshot_trouble(self) -> str:
        """Return why a start without PostgreSQL would not know the keys; empty when it would."""
        if not self._replica.fresh:
            return "PostgreSQL has not confirmed the API keys for too long: they are not believed"
        if self._replica.emptied:
            return "it is all that is left of the API keys: the database holds none any more"
        if self._replica.save_error:
            return f"it was not written: {self._replica.save_error}"
        return ""

    def known(self, authorization: bytes) -> Principal | None:
        """Return the principal of a header that was verified lately, else None; one look-up.

        `authorization` is the header's value. The answer outlives the end of a key or pass, or a
        staleness too great, by one poll at most. On None, ask `verify`.
        """
        return self._principals.get(authorization)

    async def verify(self, authorization: bytes) -> Principal:
        """Return the principal of an Authorization header's value; asks PostgreSQL if it must.

        Raises InvalidCredential when the key or pass is certainly not valid, AccountsUnavailable
        when that cannot be told now, Misdirected when it is another cell's, for which nothing is
        asked. Waits three seconds at most, and only for unknown keys.
        """
        principal = self._principals.get(authorization)
        if principal is not None:
            return principal
        secret = secret_of(authorization)
        self._options.cells.check_mark(secret)
        if secret.startswith(PASS_PREFIX):
            claims = self._signer.read(secret)
            if claims.expires_us <= self._clock.now_us():
                raise InvalidCredential
            credential = await self._live_credential(claims.credential_id)
            principal = claims.principal(credential)
        else:
            credential = await self._live_credential(self._mac.of(secret))
            principal = credential.principal()
        principal = self._at_home(principal)
        self._remember(authorization, principal, credential)
        return principal

    def subject(self, principal: Principal, external_user: str | None) -> int:
        """Return the number of the person whose data this is.

        That is the person the request names, when the key may act for users; otherwise the key's
        or pass's own user, whatever the request names: OpenAI's `user` and `safety_identifier`
        are plain labels there, and a label must never open somebody else's data. Raises
        Misdirected when another cell keeps the person.
        """
        if external_user and principal.acts_for_users:
            user = user_number(self._identity, principal.org_id, external_user)
            self.check_home(principal.org_id, user)
            return user
        return principal.user

    def check_home(self, org_id: str, user: int) -> None:
        """Return when this cell keeps the person with this number; raises Misdirected."""
        region = self._replica.homes.region(org_id, user)
        if region:
            self._options.cells.check(region)

    @property
    def cells(self) -> Cells:
        """Return which region is served here."""
        return self._options.cells

    @property
    def anybody_elsewhere(self) -> bool:
        """Return whether anybody is placed in another region than their organization."""
        return len(self._replica.homes) > 0

    def mint_user_pass(self, principal: Principal, external_user: str, lifetime_s: int) -> UserPass:
        """Return a pass for one person of the principal's organization.

        It lives `lifetime_s` seconds, PASS_LIFETIME_S_MAX at most, and never longer than the key;
        it has none of the key's permissions. Raises NotPermitted unless the key may act for users,
        Misdirected when another cell keeps the person.
        """
        if not principal.acts_for_users:
            raise NotPermitted
        user = user_number(self._identity, principal.org_id, external_user)
        self.check_home(principal.org_id, user)
        lifetime_us = min(lifetime_s, PASS_LIFETIME_S_MAX) * MICROS_PER_SECOND
        claims = PassClaims(
            org_id=principal.org_id,
            credential_id=principal.credential_id,
            user=user,
            expires_us=self._clock.now_us() + lifetime_us,
        )
        return self._signer.sign(claims)

    async def refresh(self) -> bool:
        """Take over what changed in PostgreSQL; return False when it did not answer.

        The poll calls this; so may whoever has just changed something and wants it to count here.
        """
        self._forget_ended()
        try:
            changed = await self._replica.refresh()
        except AccountsUnavailable:
            return False
        if changed:
            self._principals.clear()
        await self._replica.save_if_due()
        return True

    async def _poll(self) -> None:
        every_s = self._options.poll_every_ms / 1000
        # Processes that start together shall not ask together for ever.
        await asyncio.sleep(every_s * self._randomness.bytes(1)[0] / 256)
        while True:
            await self.refresh()
            await asyncio.sleep(every_s)

    def _at_home(self, principal: Principal) -> Principal:
        """Return the principal with the region that counts, its user's own before all others.

        Raises Misdirected when another cell keeps what is theirs.
        """
        own = self._replica.homes.region(principal.org_id, principal.user)
        if own:
            principal = replace(principal, region=own)
        self._options.cells.check(principal.region)
        return principal

    def _forget_ended(self) -> None:
        """Forget every remembered header when one of them has ended: the others come back cheaply.

        They come back from the replica, for one HMAC each and without a query.
        """
        _age.set(self._replica.age_s)
        if self._first_end_us <= self._clock.now_us() or not self._replica.fresh:
            self._principals.clear()
            self._first_end_us = math.inf

    def _remember(self, authorization: bytes, principal: Principal, parent: Credential) -> None:
        if not self._replica.fresh:
            return  # no poll would tell us of its end
        if len(self._principals) >= self._options.cache_max:
            del self._principals[next(iter(self._principals))]
        self._principals[authorization] = principal
        for end_us in (principal.pass_expires_us, parent.expires_us):
            if end_us:
                self._first_end_us = min(self._first_end_us, end_us)

    async def _live_credential(self, key: bytes | str) -> Credential:
        credential = self._replica.find(key) or await self._look_up(key)
        if not credential.is_live(self._clock.now_us()):
            raise InvalidCredential
        return credential

    async def _look_up(self, key: bytes | str) -> Credential:
        if self._refused.holds(key, self._clock.monotonic()):
            raise InvalidCredential
        found = await self._lookups.find(key)
        if found is None:
            self._refused.add(key, self._clock.monotonic())
            raise InvalidCredential
        return self._replica.put(found)

    async def _read(self, keys: list[bytes | str]) -> list[Credential]:
        if self._replica.emptied:
            raise AccountsUnavailable("the database holds no API key any more")
        return await read_credentials(self._postgres, keys)

    def _task_failed(self, name: str, error: BaseException) -> None:
        """Without the poll nothing that is remembered may be believed: ask PostgreSQL each time."""
        self._replica.distrust()
        self._principals.clear()
        log.error("accounts-task-failed", f"{name} ended: {error!r}")
