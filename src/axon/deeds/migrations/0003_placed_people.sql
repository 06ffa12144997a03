-- Whom another cell keeps is decided by people, too.
CREATE TRIGGER deeds AFTER INSERT OR UPDATE OR DELETE ON accounts.homes
    FOR EACH ROW EXECUTE FUNCTION deeds.note('placement', 'user_id', 'org_id', 'version');
