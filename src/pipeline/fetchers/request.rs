//! The request of a step: fixed parts, parts that carry an earlier step's token, and computed parts.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    pipeline::fetch::Fetch,
    provider::{TokenError, TokenErrorKind},
    secret::Secret,
};

pub(super) type ComputedHeader = Arc<dyn Fn(&Fetch) -> Result<Secret, TokenError> + Send + Sync>;
pub(super) type ComputedMember = Arc<dyn Fn(&Fetch) -> Result<Value, TokenError> + Send + Sync>;
pub(super) type Finish = Arc<dyn Fn(&Fetch, &mut Request<Bytes>) -> Result<(), TokenError> + Send + Sync>;

/// How to ask a token endpoint. Setters take anything; [`StepRequest::faults`] says what cannot be used.
#[derive(Clone)]
pub(super) struct StepRequest {
    pub(super) name: String,
    pub(super) method: Method,
    uri: Option<Uri>,
    headers: Vec<(Option<HeaderName>, HeaderSource)>,
    body: Content,
    members: Vec<(String, MemberSource)>,
    finish: Vec<Finish>,
    pub(super) depends_on: Vec<String>,
}

/// What a manner of asking adds.
pub(super) struct More<'a> {
    pub(super) fields: &'a [(&'static str, Secret)],
    pub(super) authorization: Option<HeaderValue>,
}

#[derive(Clone)]
enum HeaderSource {
    Fixed(Option<HeaderValue>),
    /// The token of a step, behind a scheme or bare.
    Token {
        step: String,
        scheme: Option<&'static str>,
    },
    Computed(ComputedHeader),
}

#[derive(Clone)]
enum MemberSource {
    Token(String),
    Computed(ComputedMember),
}

#[derive(Clone)]
enum Content {
    Empty,
    Json(Map<String, Value>),
    Form(Vec<(String, Secret)>),
    /// What was given as JSON is no JSON object.
    NoObject,
    /// A field was added to JSON.
    Mixed,
}

// ===== settings =====

impl StepRequest {
    pub(super) fn new(name: String, method: Method, url: &str) -> Self {
        Self {
            name,
            method,
            uri: url.parse().ok(),
            headers: Vec::new(),
            body: Content::Empty,
            members: Vec::new(),
            finish: Vec::new(),
            depends_on: Vec::new(),
        }
    }

    pub(super) fn json(&mut self, body: impl Serialize) {
        self.body = match serde_json::to_value(body) {
            Ok(Value::Object(object)) => Content::Json(object),
            _ => Content::NoObject,
        };
    }

    pub(super) fn form(&mut self, fields: impl IntoIterator<Item = (String, Secret)>) {
        self.body = Content::Form(fields.into_iter().collect());
    }

    pub(super) fn field(&mut self, name: String, value: Secret) {
        match &mut self.body {
            Content::Form(fields) => fields.push((name, value)),
            Content::Empty => self.body = Content::Form(vec![(name, value)]),
            _ => self.body = Content::Mixed,
        }
    }

    pub(super) fn header(&mut self, name: &str, value: &Secret) {
        self.headers.push((name.parse().ok(), HeaderSource::Fixed(sensitive(value.expose()))));
    }

    pub(super) fn header_from(&mut self, name: &str, step: String, scheme: Option<&'static str>) {
        self.needs(&step);
        self.headers.push((name.parse().ok(), HeaderSource::Token { step, scheme }));
    }

    pub(super) fn header_with(&mut self, name: &str, value: ComputedHeader) {
        self.headers.push((name.parse().ok(), HeaderSource::Computed(value)));
    }

    pub(super) fn body_from(&mut self, member: String, step: String) {
        self.needs(&step);
        self.members.push((member, MemberSource::Token(step)));
    }

    pub(super) fn body_with(&mut self, member: String, value: ComputedMember) {
        self.members.push((member, MemberSource::Computed(value)));
    }

    pub(super) fn finish_with(&mut self, finish: Finish) {
        self.finish.push(finish);
    }

    pub(super) fn needs(&mut self, step: &str) {
        if !self.depends_on.iter().any(|known| known == step) {
            self.depends_on.push(step.to_owned());
        }
    }

    pub(super) fn uri(&self) -> Option<&Uri> {
        self.uri.as_ref()
    }

    /// `taken` are the fields that the manner of asking sets; it may also own the `Authorization` header.
    pub(super) fn faults(&self, taken: &[&str], authorized: bool) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, setting, rule| {
            if !holds {
                faults.push((setting, rule));
            }
        };
        let absolute =
            self.uri.as_ref().is_some_and(|uri| uri.scheme().is_some() && uri.authority().is_some());
        check(absolute, "url", "must be an absolute URL");
        check(self.method != Method::CONNECT, "method", "must not be CONNECT");
        check(!matches!(self.body, Content::NoObject), "json", "must be a JSON object");
        check(!matches!(self.body, Content::Mixed), "field", "cannot be added to JSON");
        let has_body = !matches!(self.method, Method::GET | Method::HEAD | Method::DELETE | Method::TRACE);
        check(self.members.is_empty() || has_body, "body_from", "needs a method with a body");
        let body_fits = matches!(self.body, Content::Empty) && taken.is_empty() || has_body;
        check(body_fits, "body", "needs a method with a body");
        for (name, source) in &self.headers {
            check(name.is_some(), "header", "must have a header's name");
            let usable = !matches!(source, HeaderSource::Fixed(None));
            check(usable, "header", "must have a value of printable ASCII");
            let clashes = authorized && name.as_ref() == Some(&header::AUTHORIZATION);
            check(!clashes, "header", "must not replace the client's authentication");
        }
        if !taken.is_empty() {
            check(!matches!(self.body, Content::Json(_)), "json", "a grant is a form");
            let fields = match &self.body {
                Content::Form(fields) => &fields[..],
                _ => &[],
            };
            let names = fields.iter().map(|(name, _)| name).chain(self.members.iter().map(|(name, _)| name));
            // RFC 6749 §3.2: no parameter comes twice.
            let mut names = names.filter(|name| taken.contains(&name.as_str()));
            check(names.next().is_none(), "field", "must not be one that the grant itself sets");
        }
        faults
    }
}

// ===== one fetch =====

impl StepRequest {
    pub(super) fn build(&self, fetch: &Fetch, more: More<'_>) -> Result<Request<Full<Bytes>>, TokenError> {
        let (body, content_type) = self.body(fetch, more.fields)?;
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone().ok_or_else(unusable)?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Some(client) = more.authorization {
            headers.insert(header::AUTHORIZATION, client);
        }
        for (name, source) in &self.headers {
            let name = name.clone().ok_or_else(unusable)?;
            let value = match source {
                HeaderSource::Fixed(value) => value.clone(),
                HeaderSource::Token { step, scheme } => {
                    let token = fetch.token(step)?.value().expose();
                    match scheme {
                        Some(scheme) => sensitive(&Zeroizing::new(format!("{scheme} {token}"))),
                        None => sensitive(token),
                    }
                }
                HeaderSource::Computed(value) => sensitive(value(fetch)?.expose()),
            };
            headers.insert(name, value.ok_or_else(unusable)?);
        }
        for finish in &self.finish {
            finish(fetch, &mut request)?;
        }
        if !self.finish.is_empty() {
            for (name, value) in request.headers_mut() {
                value.set_sensitive(!matches!(*name, header::ACCEPT | header::CONTENT_TYPE));
            }
        }
        Ok(request.map(Full::new))
    }

    /// The content type follows the body. Members go into a form if there is one, else into a JSON object.
    fn body(
        &self,
        fetch: &Fetch,
        more: &[(&'static str, Secret)],
    ) -> Result<(Bytes, Option<&'static str>), TokenError> {
        let mut members = Vec::with_capacity(self.members.len());
        for (name, source) in &self.members {
            let value = match source {
                MemberSource::Token(step) => Value::from(fetch.token(step)?.value().expose()),
                MemberSource::Computed(value) => value(fetch)?,
            };
            members.push((name, value));
        }
        let own: &[(String, Secret)] = match &self.body {
            Content::Form(fields) => fields,
            Content::Empty if !more.is_empty() => &[],
            Content::Empty if members.is_empty() => return Ok((Bytes::new(), None)),
            Content::Empty => return Ok(json(&Map::new(), members)),
            Content::Json(object) => return Ok(json(object, members)),
            Content::NoObject | Content::Mixed => return Err(unusable()),
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(more.iter().map(|(name, value)| (name, value.expose())));
        form.extend_pairs(own.iter().map(|(name, value)| (name, value.expose())));
        for (name, value) in members {
            form.append_pair(name, &in_form(value)?);
        }
        Ok((form.finish().into(), Some("application/x-www-form-urlencoded")))
    }
}

fn json(object: &Map<String, Value>, members: Vec<(&String, Value)>) -> (Bytes, Option<&'static str>) {
    let mut object = object.clone();
    object.extend(members.into_iter().map(|(name, value)| (name.clone(), value)));
    (Value::Object(object).to_string().into(), Some("application/json"))
}

fn in_form(value: Value) -> Result<String, TokenError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(unusable()),
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn unusable() -> TokenError {
    TokenError::new(TokenErrorKind::Request)
}
