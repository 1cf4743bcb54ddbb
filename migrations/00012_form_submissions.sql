-- +goose Up
-- Where a form that was sent from the dashboard led, so that sending it twice does one thing, whichever process gets it.
-- led_to is empty while the form is being handled. Rows go with their session, or after ten minutes.
CREATE TABLE form_submissions (
    login_session_id uuid NOT NULL REFERENCES login_sessions (id) ON DELETE CASCADE,
    form             text NOT NULL,
    led_to           text NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (login_session_id, form)
);

-- +goose Down
DROP TABLE form_submissions;
