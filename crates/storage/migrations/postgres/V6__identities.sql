-- People whom somebody else's sign-in vouches for: their account there and their user here.

CREATE TABLE auth_identities (
    workspace_id text COLLATE "C" NOT NULL,
    provider     text COLLATE "C" NOT NULL,   -- supabase
    subject      text COLLATE "C" NOT NULL,   -- the account's id at the provider
    user_id      uuid   NOT NULL,
    linked_ms    bigint NOT NULL,
    PRIMARY KEY (workspace_id, provider, subject),
    CONSTRAINT auth_identities_user UNIQUE (workspace_id, provider, user_id)
);
-- A sign-in does not know its workspace yet.
CREATE INDEX auth_identities_subject ON auth_identities (provider, subject);
