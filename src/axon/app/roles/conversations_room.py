"""Builds the conversations of a serving process, and what brings cold ones back to it."""

from axon.app.archiving import archive_objects
from axon.app.folders import DataFolder
from axon.app.roles.ground import Ground
from axon.app.settings import Settings
from axon.archive import ArchiveParts, Thawing
from axon.conversations import Conversations, ConversationsOptions, ConversationsParts
from axon.journal import Journal


def open_thawing(settings: Settings, folder: DataFolder, ground: Ground) -> Thawing:
    """Return what reads the archive; it runs until it is stopped."""
    thawing = Thawing(
        ArchiveParts(
            postgres=ground.postgres,
            objects=archive_objects(settings, folder, ground.clock),
            clock=ground.clock,
            randomness=ground.randomness,
        )
    )
    thawing.start()
    return thawing


def conversations_room(
    settings: Settings, folder: DataFolder, ground: Ground, journal: Journal, thawing: Thawing
) -> Conversations:
    """Return the room; it is opened once Valkey is."""
    return Conversations(
        ConversationsParts(
            postgres=ground.postgres,
            valkey=ground.valkey,
            journal=journal,
            keys=ground.keys,
            mint=ground.mint,
            clock=ground.clock,
            randomness=ground.randomness,
            instance=journal.instance,
            epoch_path=folder.valkey_epoch,
            thaw=thawing.thaw,
        ),
        ConversationsOptions(
            opened_bytes_max=settings.conversations.opened_bytes_max,
            places_max=settings.conversations.remembered_turns_max,
            keys_max=settings.conversations.idempotency_keys_max,
            change_wait_s=settings.conversations.change_wait_s,
        ),
    )
