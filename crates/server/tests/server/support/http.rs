use std::net::SocketAddr;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{PATIENCE, text, uuid_v7};

/// A client without credentials.
#[derive(Clone)]
pub struct Http {
    pub address: SocketAddr,
    scheme: &'static str,
    client: reqwest::Client,
}

/// Somebody signed in on a device of their own.
#[derive(Clone)]
pub struct User {
    pub http: Http,
    pub email: String,
    pub user_id: String,
    pub device_id: String,
    pub access_token: String,
    pub refresh_token: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The body, after making sure of the status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem, after making sure that it is one in every respect, of this status and code.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status, "{body}");
        for member in ["type", "title", "detail", "class", "message", "request_id"] {
            assert!(!text(&body, member).is_empty(), "no {member} in {body}");
        }
        assert_eq!(body["request_id"], self.headers["x-request-id"].to_str().unwrap());
        body
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl Http {
    pub fn new(address: SocketAddr) -> Self {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_zstd().no_gzip().build().unwrap();
        Self { address, scheme: "http", client }
    }

    /// Trusts this certificate and no other.
    pub fn over_tls(address: SocketAddr, certificate: &str) -> Self {
        let certificate = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
        let builder = reqwest::Client::builder().timeout(PATIENCE).no_zstd().no_gzip();
        Self { address, scheme: "https", client: builder.tls_certs_only([certificate]).build().unwrap() }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}://{}{path}", self.scheme, self.address))
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn login(&self, email: &str, password: &str) -> User {
        let device_id = uuid_v7();
        let answer = self.try_login(email, password, &device_id).await;
        User::new(self.clone(), email, &answer.expect(200))
    }

    pub async fn try_login(&self, email: &str, password: &str, device_id: &str) -> Answer {
        let device = json!({"device_id": device_id, "name": "Test", "deployment_mode": "local_install"});
        self.post("/api/auth/login", &json!({"email": email, "password": password, "device": device})).await
    }
}

impl User {
    pub fn new(http: Http, email: &str, tokens: &Value) -> Self {
        let of = |member: &str| text(tokens, member).to_owned();
        Self {
            http,
            email: email.to_owned(),
            user_id: of("user_id"),
            device_id: of("device_id"),
            access_token: of("access_token"),
            refresh_token: of("refresh_token"),
        }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, path).bearer_auth(&self.access_token)
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.http.send(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Creates a contact and returns it.
    pub async fn contact(&self, fields: Value) -> Value {
        self.post("/api/contacts", &fields).await.expect(201)
    }

    pub async fn refresh(&self) -> Answer {
        self.http.post("/api/auth/refresh", &json!({"refresh_token": self.refresh_token})).await
    }
}
