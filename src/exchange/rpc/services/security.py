"""SecurityService: who may do what, and by which keys the node speaks."""

from __future__ import annotations

from datetime import datetime

from exchange.domain.problems import Problem, Refused
from exchange.flows.actions.erase import EraseFlow
from exchange.flows.actions.pending import ActionFlow
from exchange.flows.agencies import AgencyFlow
from exchange.flows.audit.keeping.retention import RetentionFlow
from exchange.flows.certificates.reload import LiveFiles
from exchange.flows.certificates.trust import SetOutcome
from exchange.flows.instants import instant, is_instant, micros_of
from exchange.flows.queries.ground.paging import Tokens, page_size
from exchange.flows.rotation.forced import ForcedRetire
from exchange.flows.rotation.steps import Asked, RotationFlow
from exchange.flows.trust.compromise import CompromiseFlow
from exchange.flows.trust.confirm import PendingTrust
from exchange.rpc.door import Call
from exchange.rpc.limits import CallLimits
from exchange.rpc.services.actions import ActionRpcs
from exchange.rpc.services.compromise import CompromiseRpcs
from exchange.v1 import security_service_pb2 as pb


class SecurityServicer(ActionRpcs, CompromiseRpcs):
    """Answers SecurityService."""

    descriptor = pb.DESCRIPTOR.services_by_name["SecurityService"]

    def __init__(
        self,
        flow: AgencyFlow,
        rotations: RotationFlow,
        trust: PendingTrust,
        tokens: Tokens,
        live: LiveFiles,
        limits: CallLimits,
        *,
        actions: ActionFlow,
        erase: EraseFlow,
        retention: RetentionFlow,
        compromise: CompromiseFlow,
    ) -> None:
        ActionRpcs.__init__(self, actions, erase, retention)
        self.compromise = compromise
        self._flow = flow
        self._trust = trust
        self._rotations = rotations
        self._forced = ForcedRetire(rotations, rotations.retire_by_two)
        self._tokens = tokens
        self._live = live
        self._limits = pb.Quotas(
            records_per_minute=limits.records_per_minute,
            calls_in_flight=limits.calls_per_caller,
            watchers=limits.watchers_per_caller,
        )

    async def list_agencies(self, call: Call, request: pb.ListAgenciesRequest) -> pb.ListAgenciesResponse:
        """ListAgencies."""
        limit = page_size(request.page_size)
        after = self._tokens.read("agencies", request.page_token) or ""
        found = await call.run(self._flow.page, after, limit + 1)
        token = self._tokens.make("agencies", found[limit - 1].name) if len(found) > limit else ""
        return pb.ListAgenciesResponse(agencies=found[:limit], next_page_token=token, limits=self._limits)

    async def put_agency(self, call: Call, request: pb.PutAgencyRequest) -> pb.PutAgencyResponse:
        """PutAgency."""
        done = await call.run(self._flow.put, request.agency, request.reason, call.identity, call.asked.now)
        return pb.PutAgencyResponse(agency=done.agency, journal_index=done.journal_index)

    async def suspend_agency(self, call: Call, request: pb.SuspendAgencyRequest) -> pb.SuspendAgencyResponse:
        """SuspendAgency."""
        done = await call.run(
            self._flow.suspend,
            request.name,
            request.reason,
            call.identity,
            call.asked.now,
            suspended=request.suspended,
        )
        return pb.SuspendAgencyResponse(agency=done.agency, journal_index=done.journal_index)

    async def bind_key(self, call: Call, request: pb.BindKeyRequest) -> pb.BindKeyResponse:
        """BindKey."""
        done = await call.run(
            self._flow.bind,
            request.name,
            request.signing_certificate or request.key_hash,
            request.reason,
            call.identity,
            call.asked.now,
            remove=request.remove,
        )
        return pb.BindKeyResponse(agency=done.agency, journal_index=done.journal_index)

    async def list_keys(self, call: Call, _request: pb.ListKeysRequest) -> pb.ListKeysResponse:
        """ListKeys."""
        keys = await call.run(self._rotations.keys, call.asked.now)
        return pb.ListKeysResponse(keys=keys, open=await call.run(self._rotations.open, call.asked.now))

    async def start_rotation(self, call: Call, request: pb.StartRotationRequest) -> pb.StartRotationResponse:
        """StartRotation."""
        view = await call.run(
            self._rotations.start, request.key, request.material, request.reason, call.identity, call.asked.now
        )
        return pb.StartRotationResponse(rotation=view)

    async def advance_rotation(self, call: Call, request: pb.AdvanceRotationRequest) -> pb.AdvanceRotationResponse:
        """AdvanceRotation."""
        asked = Asked(
            actor=call.identity,
            step=request.step,
            material=request.material,
            activate_at=_when(request),
            force=request.force,
            reason=request.reason,
        )
        wanted = None
        if request.force:
            wanted = await call.run(self._forced.wanted, request.number, request.step, request.reason, call.asked.now)
        if wanted is not None:
            action = await call.run(self._actions.ask, wanted, call.officer, call.asked.now)
            rotation = await call.run(self._rotations.find, request.number)
            view = await call.run(self._rotations.view, rotation, call.asked.now)
            return pb.AdvanceRotationResponse(rotation=view, action=action)
        return pb.AdvanceRotationResponse(
            rotation=await call.run(self._rotations.advance, request.number, asked, call.asked.now)
        )

    async def abort_rotation(self, call: Call, request: pb.AbortRotationRequest) -> pb.AbortRotationResponse:
        """AbortRotation."""
        view = await call.run(self._rotations.abort, request.number, request.reason, call.identity, call.asked.now)
        return pb.AbortRotationResponse(rotation=view)

    async def get_rotation(self, call: Call, request: pb.GetRotationRequest) -> pb.GetRotationResponse:
        """GetRotation."""
        rotation = await call.run(self._rotations.find, request.number)
        view = await call.run(self._rotations.view, rotation, call.asked.now)
        return pb.GetRotationResponse(rotation=view, report=await call.run(self._rotations.report, request.number))

    async def rehearse_rotation(self, call: Call, request: pb.RehearseRotationRequest) -> pb.RehearseRotationResponse:
        """RehearseRotation."""
        return pb.RehearseRotationResponse(
            findings=await call.run(self._rotations.rehearse, request.key, call.asked.now)
        )

    async def reload_trust(self, call: Call, request: pb.ReloadTrustRequest) -> pb.ReloadTrustResponse:
        """ReloadTrust."""
        del request
        edition, sets = await call.run(self._live.reload, call.identity, call.asked.now)
        return pb.ReloadTrustResponse(edition=edition, sets=map(_reloaded, sets))

    async def list_trust(self, call: Call, _request: pb.ListTrustRequest) -> pb.ListTrustResponse:
        """ListTrust."""
        return pb.ListTrustResponse(items=await call.run(self._live.listed.items, call.asked.now))

    async def remove_trust(self, call: Call, request: pb.RemoveTrustRequest) -> pb.RemoveTrustResponse:
        """RemoveTrust."""
        listed, now = self._live.listed, call.asked.now
        if request.force:
            asked = await call.run(listed.asked, request.owner, request.fingerprint, request.reason, now)
            wanted = asked.remove_authority
            missing = await call.run(listed.needed_by, wanted.owner, wanted.fingerprint, now)
            action = await call.run(self._actions.ask, asked, call.officer, now)
            return pb.RemoveTrustResponse(
                fingerprint=wanted.fingerprint,
                overridden=missing,
                edition=self._live.trust.digest,
                action=action,
            )
        root, _ = await call.run(
            listed.remove, request.owner, request.fingerprint, request.reason, call.identity, now, force=False
        )
        return pb.RemoveTrustResponse(fingerprint=root, edition=self._live.trust.digest)

    async def list_pending_keys(self, call: Call, _request: pb.ListPendingKeysRequest) -> pb.ListPendingKeysResponse:
        """ListPendingKeys."""
        return pb.ListPendingKeysResponse(pending=await call.run(self._trust.pending))

    async def confirm_trust(self, call: Call, request: pb.ConfirmTrustRequest) -> pb.ConfirmTrustResponse:
        """ConfirmTrust."""
        keys = await call.run(
            self._trust.confirm,
            request.id,
            request.fingerprint,
            request.reason,
            call.identity,
            call.asked.now,
            refuse=request.refuse,
        )
        return pb.ConfirmTrustResponse(keys=keys)


def _when(request: pb.AdvanceRotationRequest) -> datetime | None:
    if not request.HasField("activate_at"):
        return None
    if not is_instant(request.activate_at):
        raise Refused([Problem("INSTANT_INVALID", "activate_at", str(request.activate_at.seconds))])
    return instant(micros_of(request.activate_at))


def _reloaded(outcome: SetOutcome) -> pb.ReloadedSet:
    return pb.ReloadedSet(
        name=outcome.name,
        result=pb.ReloadResult.Value(f"RELOAD_RESULT_{outcome.result}"),
        digest=outcome.digest,
        problems=[
            pb.ReloadProblem(reason=each.reason, place=each.place, detail=each.detail) for each in outcome.problems
        ],
    )
