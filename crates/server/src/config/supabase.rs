//! Section `supabase`: signing in with the tokens of a Supabase project.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::report::redact;
use super::{ConfigError, Environment, bound};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupabaseConfig {
    /// The project, `https://<project>.supabase.co`; its public keys are read from there, and tokens must name it as their
    /// issuer. Default: none, and without `jwt_secret` no such token is taken. `SUPABASE_URL`.
    pub url: Option<String>,
    /// The project's shared secret, where its tokens are signed with HS256; at least 32 bytes. `SUPABASE_JWT_SECRET` only,
    /// never the file.
    #[serde(skip_deserializing, serialize_with = "redact")]
    pub jwt_secret: Option<SecretString>,
    /// A key of the project, with which it is asked whether an account's address is confirmed. `SUPABASE_ANON_KEY`, or
    /// else `SUPABASE_SERVICE_KEY`; never the file.
    #[serde(skip_deserializing, serialize_with = "redact")]
    pub api_key: Option<SecretString>,
    /// Audience that a token must have; default `authenticated`, 1 to 200 characters.
    pub audience: String,
    /// Whether every address in a token counts as confirmed, because the project confirms them before it signs anybody in;
    /// default false: the project is asked, which needs `url` and a key.
    pub is_email_trusted: bool,
    /// Role of people who sign in without having been invited; default: none, they are refused. Not owner or admin.
    pub provision_role: Option<String>,
    /// Workspace that `provision_role` is given in.
    pub provision_workspace: Option<String>,
    /// Time the project has for one answer; milliseconds, default 5,000, 100..=30,000.
    pub timeout_ms: u64,
}

impl Default for SupabaseConfig {
    fn default() -> Self {
        Self {
            url: None,
            jwt_secret: None,
            api_key: None,
            audience: "authenticated".to_owned(),
            is_email_trusted: false,
            provision_role: None,
            provision_workspace: None,
            timeout_ms: 5_000,
        }
    }
}

impl SupabaseConfig {
    /// The issuer that a token must name.
    pub fn issuer(&self) -> Option<String> {
        self.url.as_ref().map(|url| format!("{}/auth/v1", url.trim_end_matches('/')))
    }

    pub(super) fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        if let Some(url) = environment.text("SUPABASE_URL") {
            self.url = Some(url.to_owned());
        }
        if let Some(secret) = environment.text("SUPABASE_JWT_SECRET") {
            if secret.len() < 32 {
                let expected = "at least 32 bytes, as the project's settings show it".to_owned();
                return Err(ConfigError::Variable { name: "SUPABASE_JWT_SECRET", value: "…".to_owned(), expected });
            }
            self.jwt_secret = Some(SecretString::from(secret));
        }
        let key = environment.text("SUPABASE_ANON_KEY").or_else(|| environment.text("SUPABASE_SERVICE_KEY"));
        if let Some(key) = key {
            self.api_key = Some(SecretString::from(key));
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let section = "supabase";
        let is_url = |url: &String| {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            host.is_some_and(|host| (1..=255).contains(&host.len()) && !host.contains(['?', '#', '@', ' ']))
        };
        bound(self.url.as_ref().is_none_or(is_url), section, "url", "an address such as https://project.supabase.co")?;
        bound((1..=200).contains(&self.audience.len()), section, "audience", "1 to 200 characters")?;
        let role = self.provision_role.as_deref();
        let is_modest = !matches!(role, Some("owner" | "admin"));
        bound(is_modest, section, "provision_role", "not owner or admin: nobody has vouched for a stranger")?;
        let are_both = role.is_some() == self.provision_workspace.is_some();
        bound(are_both, section, "provision_workspace", "both provision_role and provision_workspace, or neither")?;
        bound((100..=30_000).contains(&self.timeout_ms), section, "timeout_ms", "100 to 30000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_2_a_supabase_project_is_configured_by_its_variables_and_its_secrets_are_never_shown() {
        let pairs = [
            ("SUPABASE_URL", "https://abc.supabase.co/"),
            ("SUPABASE_JWT_SECRET", "0123456789abcdef0123456789hush!!"),
            ("SUPABASE_SERVICE_KEY", "hush-service"),
        ];
        let environment = Environment::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut config = SupabaseConfig::default();
        config.apply_environment(&environment).unwrap();
        config.check().unwrap();
        assert_eq!(config.issuer().as_deref(), Some("https://abc.supabase.co/auth/v1"));
        assert!(!format!("{config:?}").contains("hush"));
        let with = |change: fn(&mut SupabaseConfig)| {
            let mut config = SupabaseConfig::default();
            change(&mut config);
            config.check()
        };
        assert!(with(|config| config.url = Some("abc.supabase.co".to_owned())).is_err());
        assert!(with(|config| config.provision_role = Some("agent".to_owned())).is_err());
        let admin = |config: &mut SupabaseConfig| {
            (config.provision_role, config.provision_workspace) = (Some("admin".to_owned()), Some("main".to_owned()));
        };
        assert!(with(admin).is_err());
    }
}
