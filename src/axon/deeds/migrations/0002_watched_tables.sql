-- Whatever changes one of these tables leaves a row in deeds.deeds.
CREATE TRIGGER deeds AFTER INSERT OR UPDATE OR DELETE ON accounts.orgs
    FOR EACH ROW EXECUTE FUNCTION deeds.note('organization', 'id', 'id');
CREATE TRIGGER deeds AFTER INSERT OR UPDATE OR DELETE ON accounts.users
    FOR EACH ROW EXECUTE FUNCTION deeds.note('user', 'id', 'org_id', 'name');
CREATE TRIGGER deeds AFTER INSERT OR UPDATE OR DELETE ON accounts.credentials
    FOR EACH ROW EXECUTE FUNCTION deeds.note('key', 'id', 'org_id', 'mac', 'hint', 'name', 'version');
CREATE TRIGGER deeds AFTER INSERT OR UPDATE OR DELETE ON limits.rules
    FOR EACH ROW EXECUTE FUNCTION deeds.note('limit', 'id', 'org_id');
CREATE TRIGGER deeds AFTER INSERT OR UPDATE OR DELETE ON limits.tiers
    FOR EACH ROW EXECUTE FUNCTION deeds.note('tier', 'name', '');
CREATE TRIGGER deeds AFTER INSERT OR UPDATE OR DELETE ON limits.time_zones
    FOR EACH ROW EXECUTE FUNCTION deeds.note('time_zone', 'org_id', 'org_id');
CREATE TRIGGER deeds AFTER INSERT OR UPDATE OR DELETE ON metering.prices
    FOR EACH ROW EXECUTE FUNCTION deeds.note('price', 'id', 'org_id', 'version');
-- A webhook's URL may hold a token of its owner's, and is theirs to see, not the journal's.
CREATE TRIGGER deeds AFTER INSERT OR UPDATE OR DELETE ON alerts.endpoints
    FOR EACH ROW EXECUTE FUNCTION deeds.note('webhook', 'id', 'org_id', 'url', 'kek_id', 'secret');
CREATE TRIGGER deeds AFTER INSERT OR UPDATE OR DELETE ON billing.stripe_customers
    FOR EACH ROW EXECUTE FUNCTION deeds.note('stripe_customer', 'customer_id', 'org_id');
