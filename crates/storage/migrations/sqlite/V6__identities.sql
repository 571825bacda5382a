-- People whom somebody else's sign-in vouches for: their account there and their user here.

CREATE TABLE auth_identities (
    workspace_id TEXT    NOT NULL,
    provider     TEXT    NOT NULL,            -- supabase
    subject      TEXT    NOT NULL,            -- the account's id at the provider
    user_id      TEXT    NOT NULL,
    linked_ms    INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, provider, subject),
    UNIQUE (workspace_id, provider, user_id)
) STRICT, WITHOUT ROWID;
-- A sign-in does not know its workspace yet.
CREATE INDEX auth_identities_subject ON auth_identities (provider, subject);
