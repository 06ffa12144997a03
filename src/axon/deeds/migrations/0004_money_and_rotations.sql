-- What an organization is asked to pay is decided by people, too, and so is when keys are rotated.
-- A draft is asked of nobody yet.
CREATE TRIGGER deeds AFTER INSERT OR UPDATE ON billing.closes
    FOR EACH ROW EXECUTE FUNCTION deeds.note('close', 'id', 'org_id');
CREATE TRIGGER deeds AFTER UPDATE ON billing.invoices
    FOR EACH ROW WHEN (NEW.state <> 'draft')
    EXECUTE FUNCTION deeds.note('invoice', 'id', 'org_id', 'org_name');
CREATE TRIGGER deeds AFTER INSERT ON billing.credit_notes
    FOR EACH ROW EXECUTE FUNCTION deeds.note('credit_note', 'id', '');
CREATE TRIGGER deeds AFTER INSERT OR UPDATE ON sealing.rotations
    FOR EACH ROW EXECUTE FUNCTION deeds.note('rotation', 'kind', 'org_id');
CREATE TRIGGER deeds AFTER INSERT OR UPDATE ON sealing.org_erasures
    FOR EACH ROW EXECUTE FUNCTION deeds.note('destruction', 'org_id', 'org_id');
