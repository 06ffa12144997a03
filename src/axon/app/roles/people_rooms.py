"""Builds what a serving process needs for feedback, the audit, and people's data."""

from axon.app.backup.manifest import KEYS_LIVE_US
from axon.app.roles.ground import Ground
from axon.app.settings import Settings, policies_of
from axon.archive import Thawing
from axon.audit import Audit, AuditParts, Signer
from axon.conversations import Conversations, Opener
from axon.feedback import FeedbackParts, FeedbackRoom
from axon.gateway import PeopleRooms
from axon.journal import Journal
from axon.subjects import Erasing, ErasingParts, Exporting, ExportingParts
from axon.training import ConsentParts, Consents, TrainingExports, TrainingParts


def people_rooms(
    settings: Settings,
    ground: Ground,
    journal: Journal,
    conversations: Conversations,
    thawing: Thawing,
) -> PeopleRooms:
    """Return the rooms; nothing of them runs by itself."""
    opener = Opener(ground.keys, ground.postgres)
    feedback = _feedback(ground, journal, opener)
    audit = Audit(
        AuditParts(
            postgres=ground.postgres,
            journal=journal,
            opener=opener,
            mint=ground.mint,
            clock=ground.clock,
            two_people=settings.audit.two_people,
        )
    )
    erasing = Erasing(
        ErasingParts(
            postgres=ground.postgres,
            journal=journal,
            journal_retention_s=settings.journal.retention_s,
            key_backups_live_us=KEYS_LIVE_US,
            keys=ground.keys,
            conversations=conversations,
            audit=audit,
            signer=Signer(ground.keyring),
            mint=ground.mint,
            clock=ground.clock,
        )
    )
    exporting = Exporting(
        ExportingParts(postgres=ground.postgres, opener=opener, feedback=feedback, archive=thawing)
    )
    consents = Consents(
        ConsentParts(postgres=ground.postgres, journal=journal, audit=audit, clock=ground.clock)
    )
    training = TrainingExports(
        TrainingParts(
            postgres=ground.postgres,
            opener=opener,
            archive=thawing,
            feedback=feedback,
            audit=audit,
            policies=policies_of(settings.privacy),
        )
    )
    return PeopleRooms(
        feedback=feedback,
        audit=audit,
        erasing=erasing,
        exporting=exporting,
        consents=consents,
        training=training,
    )


def _feedback(ground: Ground, journal: Journal, opener: Opener) -> FeedbackRoom:
    return FeedbackRoom(
        FeedbackParts(
            postgres=ground.postgres,
            journal=journal,
            keys=ground.keys,
            opener=opener,
            mint=ground.mint,
            clock=ground.clock,
            randomness=ground.randomness,
        )
    )
