//! Analytics (OPS-5), on every database.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/postgres.rs"]
mod server;

use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::principal::DeploymentMode;
use syncline_core::storage::contract;
use syncline_storage::analytics::{
    AnalyticsBatch, CallCounts, ConnectionRow, ConnectionsPage, DAY_MS, DeviceCounts, OPERATIONS_PER_DAY_MAX,
    OTHER_OPERATION, UsageBy, UsageKey, UsagePage, UsageRow,
};
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
    ops_5_connections_are_archived_once_and_read_in_pages,
    ops_5_sums_of_devices_add_up_by_day_user_and_device,
    ops_5_times_of_calls_add_up_bucket_by_bucket,
    ops_5_clients_cannot_make_up_operations_without_end,
    ops_5_what_is_old_is_forgotten_and_the_rest_stays,
];

fn acme() -> WorkspaceId {
    WorkspaceId::new("acme").unwrap()
}

fn other() -> WorkspaceId {
    WorkspaceId::new("other").unwrap()
}

fn connection(number: u128, user: u128, device: u128, closed_ms: u64) -> ConnectionRow {
    ConnectionRow {
        workspace_id: acme(),
        connection_id: Uuid::from_u128(number),
        user_id: UserId::from_u128(user),
        device_id: DeviceId::from_u128(device),
        deployment_mode: DeploymentMode::MobileApp,
        transport: "long_poll".to_owned(),
        opened_ms: 5,
        closed_ms,
        close_code: 4_408,
        reason: "nothing was heard for too long".to_owned(),
        bytes_in: 1 << 40,
        bytes_out: 7,
        frames_in: 3,
        mutations: 2,
    }
}

fn page(limit: usize) -> ConnectionsPage {
    ConnectionsPage { user_id: None, device_id: None, after: None, limit }
}

fn ops_5_connections_are_archived_once_and_read_in_pages(place: NewPlace) {
    let Fixture { auth, .. } = &fixture(place);
    // Two were closed in the same millisecond.
    let rows =
        [connection(1, 1, 10, 100), connection(3, 2, 20, 300), connection(2, 1, 11, 300), connection(4, 1, 10, 400)];
    let strange = ConnectionRow { workspace_id: other(), ..connection(9, 1, 10, 350) };
    let batch = |rows: &[ConnectionRow]| AnalyticsBatch { connections: rows.to_vec(), ..AnalyticsBatch::default() };
    auth.add_analytics(&batch(&rows[..2])).unwrap();
    auth.add_analytics(&batch(&[&rows[..], std::slice::from_ref(&strange)].concat())).unwrap();
    let [first, second, third, fourth] = rows;
    let all = [fourth, second, third, first];
    assert_eq!(auth.connections_page(&acme(), &page(10)).unwrap(), all);
    assert_eq!(auth.connections_page(&other(), &page(10)).unwrap(), [strange]);
    let mut after = None;
    for expected in &all {
        let found = auth.connections_page(&acme(), &ConnectionsPage { after, ..page(1) }).unwrap();
        assert_eq!(&found, std::slice::from_ref(expected), "one page after {after:?}");
        after = Some((expected.closed_ms, expected.connection_id));
    }
    assert_eq!(auth.connections_page(&acme(), &ConnectionsPage { after, ..page(1) }).unwrap(), []);
    let of_user = ConnectionsPage { user_id: Some(UserId::from_u128(1)), ..page(10) };
    assert_eq!(auth.connections_page(&acme(), &of_user).unwrap(), [all[0].clone(), all[2].clone(), all[3].clone()]);
    let of_device =
        ConnectionsPage { device_id: Some(DeviceId::from_u128(10)), after: Some((400, Uuid::nil())), ..of_user };
    assert_eq!(auth.connections_page(&acme(), &of_device).unwrap(), [all[3].clone()]);
}

fn counts(factor: u64) -> DeviceCounts {
    DeviceCounts {
        connections: factor,
        connected_ms: 10 * factor,
        bytes_in: 100 * factor,
        bytes_out: 1_000 * factor,
        mutations: 2 * factor,
        sync_ok: 3 * factor,
        sync_failed: 4 * factor,
    }
}

fn devices(rows: &[(u64, u128, u128, u64)]) -> AnalyticsBatch {
    let row = |(day, user, device, factor): &(u64, u128, u128, u64)| {
        ((acme(), *day, DeviceId::from_u128(*device)), (UserId::from_u128(*user), counts(*factor)))
    };
    AnalyticsBatch { devices: rows.iter().map(row).collect(), ..AnalyticsBatch::default() }
}

fn ops_5_sums_of_devices_add_up_by_day_user_and_device(place: NewPlace) {
    let Fixture { auth, .. } = &fixture(place);
    auth.add_analytics(&devices(&[(1, 1, 10, 1), (2, 1, 10, 1), (2, 1, 11, 1), (2, 2, 20, 1)])).unwrap();
    auth.add_analytics(&devices(&[(2, 1, 10, 4), (3, 2, 20, 1)])).unwrap();
    let ask = UsagePage { by: UsageBy::Day, from_day: 2, user_id: None, device_id: None, after: None, limit: 10 };
    let row = |key, users, devices, factor| UsageRow { key, users, devices, counts: counts(factor) };
    let by_day = [row(UsageKey::Day(2), 2, 3, 7), row(UsageKey::Day(3), 1, 1, 1)];
    assert_eq!(auth.usage_page(&acme(), &ask).unwrap(), by_day);
    let (one, two) = (UsageKey::User(UserId::from_u128(1)), UsageKey::User(UserId::from_u128(2)));
    let by_user = UsagePage { by: UsageBy::User, ..ask.clone() };
    assert_eq!(auth.usage_page(&acme(), &by_user).unwrap(), [row(one, 1, 2, 6), row(two, 1, 1, 2)]);
    let next = UsagePage { after: Some(one), limit: 1, ..by_user };
    assert_eq!(auth.usage_page(&acme(), &next).unwrap(), [row(two, 1, 1, 2)]);
    let of_user = UsagePage { by: UsageBy::Device, from_day: 0, user_id: Some(UserId::from_u128(1)), ..ask.clone() };
    let device = |id| UsageKey::Device(DeviceId::from_u128(id));
    assert_eq!(auth.usage_page(&acme(), &of_user).unwrap(), [row(device(10), 1, 1, 6), row(device(11), 1, 1, 1)]);
    let of_device =
        UsagePage { device_id: Some(DeviceId::from_u128(20)), after: Some(UsageKey::Day(2)), ..ask.clone() };
    assert_eq!(auth.usage_page(&acme(), &of_device).unwrap(), [row(UsageKey::Day(3), 1, 1, 1)]);
    assert_eq!(auth.usage_page(&other(), &ask).unwrap(), []);
}

fn calls(rows: &[(u64, &str, &[u64])]) -> AnalyticsBatch {
    let row = |(day, operation, took): &(u64, &str, &[u64])| {
        let mut counts = CallCounts::default();
        took.iter().for_each(|took_ms| counts.note(*took_ms, *took_ms < 1_000));
        ((acme(), *day, (*operation).to_owned()), counts)
    };
    AnalyticsBatch { calls: rows.iter().map(row).collect(), ..AnalyticsBatch::default() }
}

fn ops_5_times_of_calls_add_up_bucket_by_bucket(place: NewPlace) {
    let Fixture { auth, .. } = &fixture(place);
    auth.add_analytics(&calls(&[(1, "list", &[1]), (2, "list", &[3, 100])])).unwrap();
    auth.add_analytics(&calls(&[(2, "list", &[3, 90_000]), (2, "sync/push", &[8])])).unwrap();
    let found = auth.call_counts(&acme(), 2).unwrap();
    let [(_, expected), (_, push)] =
        &calls(&[(2, "list", &[3, 100, 3, 90_000]), (2, "sync/push", &[8])]).calls.into_iter().collect::<Vec<_>>()[..]
    else {
        unreachable!()
    };
    assert_eq!(found.iter().collect::<Vec<_>>(), [(&"list".to_owned(), expected), (&"sync/push".to_owned(), push)]);
    assert_eq!((expected.failures, expected.within_ms(0.5)), (1, Some(4)));
    assert_eq!(auth.call_counts(&acme(), 1).unwrap()["list"].calls, 5);
    assert!(auth.call_counts(&other(), 0).unwrap().is_empty());
}

fn ops_5_clients_cannot_make_up_operations_without_end(place: NewPlace) {
    let Fixture { auth, .. } = &fixture(place);
    let names: Vec<String> = (0..OPERATIONS_PER_DAY_MAX + 50).map(|number| format!("op-{number:04}")).collect();
    let rows = |names: &[String]| calls(&names.iter().map(|name| (1, name.as_str(), &[1_u64][..])).collect::<Vec<_>>());
    auth.add_analytics(&rows(&names[..150])).unwrap();
    auth.add_analytics(&rows(&names[100..])).unwrap();
    auth.add_analytics(&calls(&[(1, "sync/push", &[8]), (2, &names[249], &[1])])).unwrap();
    let found = auth.call_counts(&acme(), 0).unwrap();
    assert_eq!(found.len(), OPERATIONS_PER_DAY_MAX + 3, "those of the limit, the others, the server's, another day's");
    assert_eq!((found["op-0120"].calls, found[OTHER_OPERATION].calls, found["sync/push"].calls), (2, 50, 1));
}

fn ops_5_what_is_old_is_forgotten_and_the_rest_stays(place: NewPlace) {
    let Fixture { auth, .. } = &fixture(place);
    let rows = (1..=5).map(|number| connection(number, 1, 10, number as u64 * DAY_MS)).collect();
    let mut batch = devices(&[(1, 1, 10, 1), (4, 1, 10, 1)]);
    batch.calls = calls(&[(1, "list", &[1]), (4, "list", &[1, 1])]).calls;
    batch.connections = rows;
    auth.add_analytics(&batch).unwrap();
    assert_eq!(auth.prune_analytics(&other(), 9 * DAY_MS, 10).unwrap(), 0);
    assert_eq!(auth.prune_analytics(&acme(), 4 * DAY_MS, 2).unwrap(), 2);
    let left = |limit| auth.connections_page(&acme(), &page(limit)).unwrap();
    assert_eq!(left(10).last().map(|row| row.closed_ms), Some(3 * DAY_MS), "the oldest go first");
    assert_eq!(auth.prune_analytics(&acme(), 4 * DAY_MS, 2).unwrap(), 1);
    assert_eq!(left(10).len(), 2);
    let ask = UsagePage { by: UsageBy::Day, from_day: 0, user_id: None, device_id: None, after: None, limit: 10 };
    assert_eq!(auth.usage_page(&acme(), &ask).unwrap().len(), 1);
    assert_eq!(auth.call_counts(&acme(), 0).unwrap()["list"].calls, 2);
}
