-- Whether a turn was answered without what came before it: whoever is told its answer is told that.

ALTER TABLE conversations.turns ADD COLUMN without_history boolean NOT NULL DEFAULT false;
