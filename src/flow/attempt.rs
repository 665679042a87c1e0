//! One attempt to log in.

use std::{net::IpAddr, sync::Arc};

use http::request::Parts;

use super::{
    Accounts,
    answer::{self, Answer},
    body::Content,
    common::{Common, FromHead, with_ip},
    device::Device,
    endpoint::Endpoint,
    fields::Fields,
};
use crate::{
    credential::Channel,
    error::Faults,
    event::{Event, EventKind},
    identity::Subject,
    problem::{Reason, Rejection, RejectionKind},
    secret::Secret,
    store::LoginRecord,
    token::{IssueError, IssueErrorKind, IssueOptions, Issued, LoginQuery, TokenService},
};

const DEVICE: &str = "device";
const REMEMBER: &str = "remember";
/// Logins that a new one is compared with.
const COMPARED: usize = 100;

/// A login service, checked.
pub(super) struct Login<A, I> {
    pub(super) tokens: TokenService<I>,
    pub(super) accounts: A,
    pub(super) names: Names,
    pub(super) tenant: Option<FromHead>,
    pub(super) client: Option<FromHead>,
    pub(super) common: Common,
}

/// The names of the fields that applications name.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) username: String,
    pub(super) password: String,
}

/// What was typed.
struct Form {
    username: Secret,
    password: Secret,
    device: Option<Secret>,
    remember: bool,
}

/// A refusal, and whom it is about if that is known.
struct Refused(Rejection, Option<Arc<Subject>>);

impl Default for Names {
    fn default() -> Self {
        Self { username: "username".to_owned(), password: "password".to_owned() }
    }
}

impl Names {
    pub(super) fn check(&self, faults: &mut Faults) {
        let rule = "must be a name of its own, and not `device` or `remember`";
        let usable = |name: &str| !name.is_empty() && name != DEVICE && name != REMEMBER;
        faults.check(usable(&self.username), "username_field", &self.username, rule);
        let apart = usable(&self.password) && self.password != self.username;
        faults.check(apart, "password_field", &self.password, rule);
    }

    fn read(&self, fields: &mut Fields) -> Result<Form, Rejection> {
        Ok(Form {
            username: fields.required(&self.username)?,
            password: fields.required(&self.password)?,
            device: fields.text(DEVICE)?,
            remember: fields.flag(REMEMBER)?.unwrap_or(true),
        })
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self(rejection, None)
    }
}

impl<A: Accounts, I: Send + Sync + 'static> Endpoint for Login<A, I> {
    const METHODS: &'static str = "POST";

    async fn answer(&self, head: &Parts, content: Content) -> Result<Answer, Rejection> {
        let client_ip = self.common.client_ip(head);
        self.log_in(head, content, client_ip).await.map_err(|Refused(rejection, subject)| {
            self.common.report(&rejection, self.tokens.now(), client_ip, subject);
            rejection
        })
    }
}

impl<A: Accounts, I: Send + Sync + 'static> Login<A, I> {
    async fn log_in(
        &self,
        head: &Parts,
        content: Content,
        client_ip: Option<IpAddr>,
    ) -> Result<Answer, Refused> {
        let mut presented = Vec::new();
        if let Some(cookies) = &self.common.cookies {
            // There is no session yet that could be abused: another site could log the browser in as somebody else.
            self.common.check_origin(head)?;
            presented = cookies.presented(&head.headers)?;
        }
        let form = self.names.read(&mut content.fields().await?)?;
        self.common.admit("login", client_ip, Some(form.username.expose())).await?;

        let tenant = self.tenant.as_ref().and_then(|tenant| tenant(head));
        let account = self.authenticate(&form, tenant.as_deref()).await?;
        let subject = self.accounts.subject(&account);
        let device = Device::of(form.device.as_ref().map(Secret::expose), client_ip, &head.headers);
        let new_device = self.is_new(&subject, &device).await;
        let mut options = self.options(head, tenant, &form, &device);
        let before = self.login_before(&presented).await?;
        if let Some(before) = &before {
            options = options.replaces(before.id());
        }
        let issued = match self.common.cookies {
            None => self.tokens.issue_for_header(subject.clone(), options).await,
            Some(_) => self.tokens.issue_for_cookie(subject.clone(), options).await,
        };
        let issued = issued.map_err(|error| Refused(not_issued(error), Some(Arc::new(subject))))?;

        self.report_success(EventKind::LoginSuccess, &issued, client_ip);
        if new_device {
            self.report_success(EventKind::NewDevice, &issued, client_ip);
        }
        let user = Some(self.accounts.summary(&account)).filter(|user| !user.is_null());
        Ok(match &self.common.cookies {
            None => answer::pair(&issued, user),
            Some(cookies) => answer::pair_in_cookies(cookies, &issued, user),
        })
    }

    /// One look-up and one check for everybody.
    async fn authenticate(&self, form: &Form, tenant: Option<&str>) -> Result<A::Account, Refused> {
        let found = self.accounts.find(form.username.expose(), tenant).await;
        let account = found.map_err(Rejection::unavailable)?;
        let checked = self.accounts.check(account.as_ref(), &form.password).await;
        let matches = checked.map_err(Rejection::unavailable)?;
        let refused = |reason, subject| {
            Refused(self.common.challenged(RejectionKind::InvalidCredentials, reason, None), subject)
        };
        let Some(account) = account else {
            return Err(refused(Reason::UnknownUser, None));
        };
        let reason = match (matches, self.accounts.is_active(&account)) {
            (true, true) => return Ok(account),
            (false, _) => Reason::WrongPassword,
            (true, false) => Reason::InactiveUser,
        };
        Err(refused(reason, Some(Arc::new(self.accounts.subject(&account)))))
    }

    fn options(&self, head: &Parts, tenant: Option<String>, form: &Form, device: &Device) -> IssueOptions {
        let mut options = IssueOptions::default().context(device.context());
        if let Some(tenant) = tenant {
            options = options.tenant(tenant);
        }
        if let Some(client) = self.client.as_ref().and_then(|client| client(head)) {
            options = options.client(client);
        }
        if !form.remember {
            options = options.browser_session();
        }
        if self.common.cookies.as_ref().is_some_and(|cookies| cookies.refresh.is_none()) {
            // Nobody would get it.
            options = options.refresh_ttl(None);
        }
        options
    }

    /// The login that the browser came with. It forgets those tokens for the new ones, so their login ends, or
    /// whoever planted or copied them would keep a way in, and the user would never find it again.
    async fn login_before(&self, presented: &[&str]) -> Result<Option<Arc<LoginRecord>>, Rejection> {
        for token in presented {
            let login = self.tokens.login_of(token, Channel::Cookie).await;
            let login = login.map_err(|refusal| Rejection::unavailable(refusal.into()))?;
            if let Some(login) = login.filter(|login| login.revoked().is_none()) {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }

    /// Whether none of the subject's live logins was made by such a device. Asked before the new login is one of
    /// them and the one it replaces is none. Where the store does not say, the device counts as new: a needless
    /// message is the lesser harm.
    async fn is_new(&self, subject: &Subject, device: &Device) -> bool {
        if !self.common.reporter.wants(&EventKind::NewDevice) {
            return false;
        }
        let query = LoginQuery::of(subject.clone()).limit(COMPARED);
        let logins = self.tokens.logins(query).await.map(|page| page.logins).unwrap_or_default();
        !logins.iter().any(|login| device.made(login))
    }

    fn report_success(&self, kind: EventKind, issued: &Issued, client_ip: Option<IpAddr>) {
        let record: Arc<LoginRecord> = issued.shared_record();
        let event = Event::new(kind, self.tokens.now())
            .with_record(record.id())
            .with_subject(Arc::clone(&record.subject))
            .with_channel(record.channel())
            .with_details(record);
        self.common.reporter.emit(with_ip(event, client_ip));
    }
}

fn not_issued(error: IssueError) -> Rejection {
    if error.kind() == IssueErrorKind::LimitReached {
        return Rejection::new(RejectionKind::LoginLimit, Reason::LoginLimit);
    }
    if error.kind() == IssueErrorKind::Options {
        // The settings of this service and the token policy do not go together: nobody can log in.
        tracing::error!(error = &error as &dyn std::error::Error, "logins break a rule of the token policy");
    }
    Rejection::unavailable(error.into())
}
