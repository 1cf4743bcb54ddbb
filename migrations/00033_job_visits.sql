-- +goose Up
-- What bulk retries did with the deliveries that they came to: each number on a job's page leads to those it counts, and an attempt
-- to the retry that asked for it.
CREATE TABLE job_visits (
    job_id              uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    webhook_delivery_id uuid NOT NULL REFERENCES webhook_deliveries (id) ON DELETE CASCADE,
    outcome             text NOT NULL,
    -- Of the delivery: it is the order of lists.
    created_at          timestamptz NOT NULL,
    -- The run that the delivery was in afterwards.
    run                 integer NOT NULL,
    PRIMARY KEY (job_id, outcome, created_at, webhook_delivery_id),
    CONSTRAINT job_visits_outcome CHECK (outcome IN ('requeued', 'in_flight', 'payload_gone', 'endpoint_disabled', 'changed'))
);
CREATE UNIQUE INDEX job_visits_once ON job_visits (webhook_delivery_id, job_id);

-- +goose Down
DROP TABLE job_visits;
