//! Webhooks and their deliveries, on every database.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/postgres.rs"]
mod server;

use std::collections::BTreeSet;

use syncline_core::id::{UserId, WorkspaceId};
use syncline_core::storage::contract;
use syncline_storage::sqlite::{AlertRow, Claim, Delivery, DeliveryState, FailurePolicy, Lease, Webhook};
use syncline_storage::{Database, DatabaseAuth, DatabaseOptions};
use uuid::Uuid;

use place::{NewPlace, Place};

struct Fixture {
    auth: DatabaseAuth,
    _place: Place,
}

fn fixture(place: NewPlace) -> Fixture {
    let place = place();
    let auth = Database::open(&place.url(), contract::schema(), DatabaseOptions::default()).unwrap().auth();
    Fixture { auth, _place: place }
}

place::on_every_database![
    api_7_webhooks_are_stored_listed_and_bounded,
    api_7_a_stretch_of_the_log_is_turned_into_deliveries_once,
    api_7_a_delivery_is_claimed_by_one_at_a_time,
    api_7_a_webhook_has_its_share_of_what_is_claimed,
    api_7_failures_in_a_row_switch_a_webhook_off,
    api_7_what_waits_for_a_webhook_that_is_off_goes_out_when_it_is_on_again,
    ops_6_a_lease_has_one_holder_until_it_ends,
    ops_6_alerts_are_kept_by_workspace,
];

fn acme() -> WorkspaceId {
    WorkspaceId::new("acme").unwrap()
}

fn hook(number: u128) -> Webhook {
    Webhook {
        former_secret: None,
        workspace_id: acme(),
        id: Uuid::from_u128(number),
        is_incoming: false,
        name: "é\u{0}".to_owned(),
        url: Some("https://example.com".to_owned()),
        secret: "whsec_".to_owned(),
        events: "[\"*\"]".to_owned(),
        mapping: None,
        is_enabled: true,
        disabled_reason: None,
        cursor: 5,
        failures: 0,
        created_ms: 1,
        created_by: UserId::from_u128(9),
    }
}

fn delivery(hook: &Webhook, number: u128) -> Delivery {
    Delivery {
        workspace_id: acme(),
        id: Uuid::from_u128(number),
        webhook_id: hook.id,
        event: "contacts.created".to_owned(),
        payload: "{\"a\":\"é\"}".to_owned(),
        state: DeliveryState::Pending,
        attempts: 0,
        next_ms: number as u64,
        last_status: None,
        last_error: None,
        created_ms: number as u64,
        updated_ms: number as u64,
    }
}

const POLICY: FailurePolicy = FailurePolicy { failures_max: 2, reason: String::new() };

fn api_7_webhooks_are_stored_listed_and_bounded(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    assert!(auth.put_webhook(&hook(1), 2).unwrap() && auth.put_webhook(&hook(2), 2).unwrap());
    assert!(!auth.put_webhook(&hook(3), 2).unwrap(), "there are as many as may be");
    let incoming = Webhook { is_incoming: true, mapping: Some("{}".to_owned()), url: None, ..hook(2) };
    let changed =
        Webhook { name: "other".to_owned(), is_enabled: false, disabled_reason: Some("x".to_owned()), ..hook(2) };
    assert!(auth.put_webhook(&changed, 2).unwrap(), "one of them may change");
    assert_eq!(auth.list_webhooks(&acme()).unwrap(), [hook(1), changed]);
    assert_eq!(auth.outgoing_webhooks().unwrap(), [hook(1)]);
    assert_eq!(auth.find_webhook(Uuid::from_u128(1)).unwrap(), Some(hook(1)));
    assert_eq!(auth.find_webhook(Uuid::from_u128(9)).unwrap(), None);
    assert!(auth.delete_webhook(&acme(), Uuid::from_u128(2)).unwrap());
    assert!(!auth.delete_webhook(&acme(), Uuid::from_u128(2)).unwrap());
    assert!(auth.put_webhook(&incoming, 2).unwrap());
    assert_eq!(auth.find_webhook(incoming.id).unwrap(), Some(incoming));
}

fn api_7_a_stretch_of_the_log_is_turned_into_deliveries_once(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let hook = hook(1);
    auth.put_webhook(&hook, 9).unwrap();
    assert!(auth.enqueue_deliveries(&hook, 8, &[delivery(&hook, 10), delivery(&hook, 11)]).unwrap());
    assert!(!auth.enqueue_deliveries(&hook, 9, &[delivery(&hook, 12)]).unwrap(), "another node was first");
    assert_eq!(auth.find_webhook(hook.id).unwrap().unwrap().cursor, 8);
    assert_eq!(auth.pending_deliveries(&acme(), hook.id).unwrap(), 2);
    let listed = auth.list_deliveries(&acme(), hook.id, 9).unwrap();
    assert_eq!(listed, [delivery(&hook, 11), delivery(&hook, 10)], "newest first");
    auth.delete_webhook(&acme(), hook.id).unwrap();
    assert_eq!(auth.list_deliveries(&acme(), hook.id, 9).unwrap(), []);
}

fn api_7_a_delivery_is_claimed_by_one_at_a_time(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let hook = hook(1);
    auth.put_webhook(&hook, 9).unwrap();
    let all: Vec<_> = (1..=40).map(|number| delivery(&hook, number)).collect();
    auth.enqueue_deliveries(&hook, 8, &all).unwrap();
    let claim = |now_ms, limit| Claim { now_ms, lease_until_ms: now_ms + 100, limit, per_hook: 99 };
    assert_eq!(auth.claim_deliveries(&claim(2, 9)).unwrap().len(), 2, "the others are not due");
    let claimed: Vec<Vec<Delivery>> = std::thread::scope(|scope| {
        let claimers: Vec<_> = (0..4).map(|_| scope.spawn(|| auth.claim_deliveries(&claim(50, 9)).unwrap())).collect();
        claimers.into_iter().map(|claimer| claimer.join().unwrap()).collect()
    });
    let ids: Vec<Uuid> = claimed.into_iter().flatten().map(|delivery| delivery.id).collect();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (36, 36), "nobody got what another had");
    assert_eq!(auth.claim_deliveries(&claim(60, 9)).unwrap().len(), 2, "what is left");
    assert_eq!(auth.claim_deliveries(&claim(300, 99)).unwrap().len(), 40, "whoever had them is gone");
}

fn api_7_a_webhook_has_its_share_of_what_is_claimed(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let (slow, quick) = (hook(1), hook(2));
    for hook in [&slow, &quick] {
        auth.put_webhook(hook, 9).unwrap();
    }
    // All that is due longest is the slow one's.
    auth.enqueue_deliveries(&slow, 8, &(1..=20).map(|number| delivery(&slow, number)).collect::<Vec<_>>()).unwrap();
    auth.enqueue_deliveries(&quick, 8, &(21..=22).map(|number| delivery(&quick, number)).collect::<Vec<_>>()).unwrap();
    let claim = |now_ms| {
        let claim = Claim { now_ms, lease_until_ms: now_ms + 100, limit: 16, per_hook: 4 };
        let claimed = auth.claim_deliveries(&claim).unwrap();
        let of = |hook: &Webhook| claimed.iter().filter(|delivery| delivery.webhook_id == hook.id).count();
        (of(&slow), of(&quick))
    };
    assert_eq!(claim(50), (4, 2));
    assert_eq!(claim(60), (0, 0), "four are under way");
    assert_eq!(claim(200), (4, 2), "whoever had them is gone");
}

fn api_7_what_waits_for_a_webhook_that_is_off_goes_out_when_it_is_on_again(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let mut hook = hook(1);
    auth.put_webhook(&hook, 9).unwrap();
    auth.enqueue_deliveries(&hook, 8, &[delivery(&hook, 1)]).unwrap();
    let claim = Claim { now_ms: 50, lease_until_ms: 60, limit: 9, per_hook: 9 };
    hook.is_enabled = false;
    auth.put_webhook(&hook, 9).unwrap();
    assert_eq!(auth.claim_deliveries(&claim).unwrap(), []);
    hook.is_enabled = true;
    auth.put_webhook(&hook, 9).unwrap();
    assert_eq!(auth.claim_deliveries(&claim).unwrap().len(), 1, "at once, however long it was off");
}

fn api_7_failures_in_a_row_switch_a_webhook_off(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let hook = hook(1);
    auth.put_webhook(&hook, 9).unwrap();
    auth.enqueue_deliveries(&hook, 8, &(1..=4).map(|number| delivery(&hook, number)).collect::<Vec<_>>()).unwrap();
    let ended = |number, state| {
        let (last_status, last_error) = (Some(500), Some("é\u{0}".to_owned()));
        let ended = Delivery { state, attempts: 3, last_status, last_error, updated_ms: 77, ..delivery(&hook, number) };
        auth.finish_attempt(&ended, &FailurePolicy { reason: "too many".to_owned(), ..POLICY }).unwrap()
    };
    assert!(!ended(1, DeliveryState::Failed));
    assert!(!ended(2, DeliveryState::Delivered), "the row ends");
    assert!(!ended(3, DeliveryState::Failed));
    assert!(ended(4, DeliveryState::Failed), "the second in a row");
    let off = auth.find_webhook(hook.id).unwrap().unwrap();
    assert_eq!((off.is_enabled, off.disabled_reason.as_deref(), off.failures), (false, Some("too many"), 2));
    let last = auth.list_deliveries(&acme(), hook.id, 1).unwrap().remove(0);
    assert_eq!(
        (last.state, last.attempts, last.last_status, last.last_error.as_deref()),
        (DeliveryState::Failed, 3, Some(500), Some("é\u{0}"))
    );
    assert!(
        auth.retry_delivery(&acme(), last.id, 80).unwrap() && !auth.retry_delivery(&acme(), Uuid::nil(), 80).unwrap()
    );
    assert_eq!(auth.pending_deliveries(&acme(), hook.id).unwrap(), 1);
    assert_eq!(auth.purge_deliveries(78).unwrap(), 3, "what waits is kept");
}

fn ops_6_a_lease_has_one_holder_until_it_ends(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let take = |holder: &str, now_ms| {
        let lease = Lease { name: "task".to_owned(), holder: holder.to_owned(), now_ms, until_ms: now_ms + 10 };
        auth.take_lease(&lease).unwrap()
    };
    assert!(take("a", 0) && take("a", 5), "it is renewed");
    assert!(!take("b", 14));
    assert!(take("b", 15) && !take("a", 16));
}

fn ops_6_alerts_are_kept_by_workspace(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let alert = |workspace_id, key: &str, is_firing, since_ms| AlertRow {
        workspace_id,
        key: key.to_owned(),
        rule: "rule".to_owned(),
        severity: "info".to_owned(),
        is_firing,
        summary: "é".to_owned(),
        since_ms,
    };
    let all = [
        alert(Some(acme()), "a", true, 1),
        alert(None, "b", true, 2),
        alert(WorkspaceId::new("other").ok(), "c", true, 3),
    ];
    auth.put_alerts(&all).unwrap();
    auth.put_alerts(&[alert(Some(acme()), "a", false, 5)]).unwrap();
    assert_eq!(auth.firing_alerts().unwrap(), [all[1].clone(), all[2].clone()]);
    let listed = auth.list_alerts(&acme(), 9).unwrap();
    assert_eq!(listed, [all[1].clone(), alert(Some(acme()), "a", false, 5)], "what fires first, and nothing of others");
    assert_eq!((auth.purge_alerts(5).unwrap(), auth.purge_alerts(6).unwrap()), (0, 1));
}
