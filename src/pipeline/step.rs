//! The request of a step: fixed parts, and parts that carry an earlier step's token.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use serde::Serialize;
use serde_json::{Map, Value};

use super::fetch::Fetch;
use crate::{
    provider::{TokenError, TokenErrorKind},
    secret::Secret,
};

/// How to ask a token endpoint. Setters take anything; [`StepRequest::faults`] says what cannot be used.
#[derive(Clone)]
pub(super) struct StepRequest {
    pub(super) name: String,
    method: Method,
    uri: Option<Uri>,
    headers: Vec<(Option<HeaderName>, HeaderSource)>,
    body: Content,
    /// (member of the body, step)
    body_tokens: Vec<(String, String)>,
    pub(super) depends_on: Vec<String>,
}

#[derive(Clone)]
enum HeaderSource {
    Fixed(Option<HeaderValue>),
    /// The token of a step, behind a scheme or bare.
    Token {
        step: String,
        scheme: Option<&'static str>,
    },
}

#[derive(Clone)]
enum Content {
    Empty,
    Json(Map<String, Value>),
    Form(Vec<(String, Secret)>),
    /// What was given as JSON is no JSON object.
    Unusable,
}

impl StepRequest {
    pub(super) fn new(name: String, method: Method, url: &str) -> Self {
        Self {
            name,
            method,
            uri: url.parse().ok(),
            headers: Vec::new(),
            body: Content::Empty,
            body_tokens: Vec::new(),
            depends_on: Vec::new(),
        }
    }

    pub(super) fn json(&mut self, body: impl Serialize) {
        self.body = match serde_json::to_value(body) {
            Ok(Value::Object(object)) => Content::Json(object),
            _ => Content::Unusable,
        };
    }

    pub(super) fn form(&mut self, fields: impl IntoIterator<Item = (String, Secret)>) {
        self.body = Content::Form(fields.into_iter().collect());
    }

    pub(super) fn header(&mut self, name: &str, value: &Secret) {
        let value = HeaderValue::from_str(value.expose()).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self.headers.push((name.parse().ok(), HeaderSource::Fixed(value)));
    }

    pub(super) fn header_from(&mut self, name: &str, step: String, scheme: Option<&'static str>) {
        self.needs(&step);
        self.headers.push((name.parse().ok(), HeaderSource::Token { step, scheme }));
    }

    pub(super) fn body_from(&mut self, member: String, step: String) {
        self.needs(&step);
        self.body_tokens.push((member, step));
    }

    pub(super) fn needs(&mut self, step: &str) {
        if !self.depends_on.iter().any(|known| known == step) {
            self.depends_on.push(step.to_owned());
        }
    }

    pub(super) fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, setting, rule| {
            if !holds {
                faults.push((setting, rule));
            }
        };
        let absolute =
            self.uri.as_ref().is_some_and(|uri| uri.scheme().is_some() && uri.authority().is_some());
        check(absolute, "url", "must be an absolute URL");
        check(!matches!(self.body, Content::Unusable), "json", "must be a JSON object");
        let tokens_fit = self.body_tokens.is_empty() || self.method != Method::GET;
        check(tokens_fit, "body_from", "needs a method with a body");
        let body_fits = matches!(self.body, Content::Empty) || self.method != Method::GET;
        check(body_fits, "body", "needs a method with a body");
        for (name, source) in &self.headers {
            check(name.is_some(), "header", "must have a header's name");
            let usable = !matches!(source, HeaderSource::Fixed(None));
            check(usable, "header", "must have a value of printable ASCII");
        }
        faults
    }

    pub(super) fn uri(&self) -> Option<&Uri> {
        self.uri.as_ref()
    }

    pub(super) fn build(&self, fetch: &Fetch) -> Result<Request<Full<Bytes>>, TokenError> {
        let unusable = || TokenError::new(TokenErrorKind::Request);
        let (body, content_type) = self.body(fetch)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone().ok_or_else(unusable)?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, source) in &self.headers {
            let name = name.clone().ok_or_else(unusable)?;
            let value = match source {
                HeaderSource::Fixed(value) => value.clone().ok_or_else(unusable)?,
                HeaderSource::Token { step, scheme } => {
                    let token = fetch.token(step)?.value().expose();
                    let text = scheme.map_or_else(|| token.to_owned(), |scheme| format!("{scheme} {token}"));
                    let mut value = HeaderValue::from_str(&zeroize::Zeroizing::new(text))
                        .map_err(|_text_stays_secret| unusable())?;
                    value.set_sensitive(true);
                    value
                }
            };
            headers.insert(name, value);
        }
        Ok(request)
    }

    /// The content type follows the body. Tokens go into a form if there is one, else into a JSON object.
    fn body(&self, fetch: &Fetch) -> Result<(Bytes, Option<&'static str>), TokenError> {
        let mut tokens = Vec::with_capacity(self.body_tokens.len());
        for (member, step) in &self.body_tokens {
            tokens.push((member, fetch.token(step)?.value().expose()));
        }
        match &self.body {
            Content::Unusable => Err(TokenError::new(TokenErrorKind::Request)),
            Content::Empty if tokens.is_empty() => Ok((Bytes::new(), None)),
            Content::Form(fields) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(fields.iter().map(|(name, value)| (name.as_str(), value.expose())));
                form.extend_pairs(tokens);
                Ok((form.finish().into(), Some("application/x-www-form-urlencoded")))
            }
            Content::Empty | Content::Json(_) => {
                let mut object = match &self.body {
                    Content::Json(object) => object.clone(),
                    _ => Map::new(),
                };
                object.extend(tokens.into_iter().map(|(member, token)| (member.clone(), Value::from(token))));
                Ok((Value::Object(object).to_string().into(), Some("application/json")))
            }
        }
    }
}
