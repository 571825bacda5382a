//! What a request knows of itself, for whoever notes something about it further inside.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;

use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::DeploymentMode;

/// One request, from the outermost layer to the last handler.
#[derive(Debug, Default)]
pub struct RequestContext {
    pub request_id: String,
    /// Of the client, as far as trusted proxies tell.
    pub address: Cell<Option<IpAddr>>,
    /// Who is behind it, once that is proven.
    pub principal: RefCell<Option<RequestPrincipal>>,
    /// A handler has noted what it did, in its own words.
    pub is_noted: Cell<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPrincipal {
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub device_id: DeviceId,
    /// Where its token tells.
    pub deployment_mode: Option<DeploymentMode>,
}

tokio::task_local! {
    static REQUEST: RequestContext;
}

/// Runs `work` as a part of the request, and returns what is known of it afterwards.
pub async fn with_request<T>(context: RequestContext, work: impl Future<Output = T>) -> (T, RequestContext) {
    let scoped = async {
        let done = work.await;
        let known = REQUEST.with(|context| RequestContext {
            request_id: context.request_id.clone(),
            address: context.address.clone(),
            principal: context.principal.clone(),
            is_noted: context.is_noted.clone(),
        });
        (done, known)
    };
    REQUEST.scope(context, scoped).await
}

/// Looks at the request that is being answered; `None` outside of one.
pub fn current_request<T>(look: impl FnOnce(&RequestContext) -> T) -> Option<T> {
    REQUEST.try_with(look).ok()
}
