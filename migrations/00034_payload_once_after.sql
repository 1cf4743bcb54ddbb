-- +goose Up
-- Before an update a trigger has Postgres lock the row by itself first, and log that, for each of them. After it the rule holds just as
-- well, since what it refuses is undone, and costs next to nothing.
DROP TRIGGER webhook_deliveries_payload_once ON webhook_deliveries;
CREATE TRIGGER webhook_deliveries_payload_once AFTER UPDATE OF payload ON webhook_deliveries
    FOR EACH ROW WHEN (NEW.payload IS NOT NULL AND NEW.payload IS DISTINCT FROM OLD.payload)
    EXECUTE FUNCTION webhook_deliveries_payload_once();

-- +goose Down
DROP TRIGGER webhook_deliveries_payload_once ON webhook_deliveries;
CREATE TRIGGER webhook_deliveries_payload_once BEFORE UPDATE OF payload ON webhook_deliveries
    FOR EACH ROW WHEN (NEW.payload IS NOT NULL AND NEW.payload IS DISTINCT FROM OLD.payload)
    EXECUTE FUNCTION webhook_deliveries_payload_once();
