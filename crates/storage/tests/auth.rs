//! Identity: sign-in records, devices, and above all what happens to refresh tokens.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/postgres.rs"]
mod server;

use syncline_core::id::{ClientId, DeviceId, UserId, WorkspaceId};
use syncline_core::principal::DeploymentMode;
use syncline_core::storage::contract;
use syncline_storage::sqlite::{
    Backlog, BacklogQuery, ClientStatus, Credential, Device, Identity, PutCredential, RefreshOwner, RefreshToken,
    Rotate, Rotation, TokenHash,
};
use syncline_storage::{Database, DatabaseAuth, DatabaseOptions};
use uuid::Uuid;

use place::{NewPlace, Place};

const USER: UserId = UserId::from_u128(1);
const DEVICE: DeviceId = DeviceId::from_u128(2);
const FAMILY: Uuid = Uuid::from_u128(3);

/// An empty database's identity tables.
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
    auth_2_an_email_finds_its_credentials_in_every_workspace,
    auth_6_failures_are_counted_and_lock,
    auth_4_devices_are_listed_renamed_and_revoked_for_good,
    auth_3_a_refresh_token_works_once,
    auth_3_a_lost_reply_may_be_asked_for_again_within_the_grace,
    auth_3_of_parallel_uses_at_most_the_grace_lets_two_through,
    auth_3_expiry_and_every_revocation_end_a_token,
    sync_9_the_last_report_of_a_client_counts,
    auth_4_devices_that_nobody_uses_are_forgotten,
    auth_3_secrets_are_made_once_and_kept_apart,
    auth_2_an_account_elsewhere_is_linked_once_per_workspace,
];

fn acme() -> WorkspaceId {
    WorkspaceId::new("acme").unwrap()
}

fn other() -> WorkspaceId {
    WorkspaceId::new("other").unwrap()
}

fn credential(workspace_id: WorkspaceId, user: u128, email: &str) -> Credential {
    let (user_id, password_hash) = (UserId::from_u128(user), format!("$argon2id${user}"));
    let email = email.to_owned();
    Credential { workspace_id, user_id, email, password_hash, failed_attempts: 0, locked_until_ms: 0 }
}

fn auth_2_an_email_finds_its_credentials_in_every_workspace(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let all = [credential(acme(), 1, "Ann@Example.com"), credential(other(), 9, "ann@example.COM")];
    for credential in &all {
        assert_eq!(auth.put_credential(credential).unwrap(), PutCredential::Stored);
    }
    auth.put_credential(&credential(acme(), 2, "bob@example.com")).unwrap();
    let found = auth.find_credential_by_email("  ANN@example.com ").unwrap();
    assert!(found == all, "by folded e-mail, in workspace order: {found:?}");
    assert_eq!(auth.find_credential_by_email("an").unwrap().len(), 0);
    assert!(auth.credential(&other(), USER).unwrap().is_none(), "a user of one workspace is nobody in another");

    let taken = auth.put_credential(&credential(acme(), 3, "BOB@example.com")).unwrap();
    assert_eq!(taken, PutCredential::EmailTaken);
    assert!(auth.credential(&acme(), UserId::from_u128(3)).unwrap().is_none(), "nothing was written");
    let moved = credential(acme(), 1, "ann@new.example");
    assert_eq!(auth.put_credential(&moved).unwrap(), PutCredential::Stored, "a user may change their own");
    assert!(auth.credential(&acme(), USER).unwrap() == Some(moved));
    assert!(auth.delete_credential(&acme(), USER).unwrap() && !auth.delete_credential(&acme(), USER).unwrap());
}

fn auth_6_failures_are_counted_and_lock(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    auth.put_credential(&credential(acme(), 1, "a@b.c")).unwrap();
    let lock = |failures: u32| if failures >= 3 { 1_000 * u64::from(failures) } else { 0 };
    let state = || auth.credential(&acme(), USER).unwrap().map(|c| (c.failed_attempts, c.locked_until_ms));
    for want in [(1, 0), (2, 0), (3, 3_000), (4, 4_000)] {
        assert_eq!(auth.record_failure(&acme(), USER, lock).unwrap(), want.0);
        assert_eq!(state(), Some(want));
    }
    auth.record_failure(&acme(), USER, |_| 0).unwrap();
    assert_eq!(state(), Some((5, 4_000)), "a lock is never shortened by another failure");
    auth.reset_failures(&acme(), USER).unwrap();
    assert_eq!(state(), Some((0, 0)));
    auth.record_failure(&acme(), USER, |_| 77).unwrap();
    assert!(auth.set_password_hash(&acme(), USER, "$new").unwrap());
    assert_eq!(state(), Some((0, 0)), "a new password ends a lock");
    assert_eq!(auth.record_failure(&other(), USER, lock).unwrap(), 0, "nobody there");
    assert!(!auth.set_password_hash(&other(), USER, "$x").unwrap());
}

fn device(id: u128, user_id: UserId, seen: u64) -> Device {
    Device {
        workspace_id: acme(),
        device_id: DeviceId::from_u128(id),
        user_id,
        name: format!("Device \"{id}\""),
        deployment_mode: DeploymentMode::BrowserExtension,
        created_ms: 10,
        last_seen_ms: seen,
        revoked_ms: None,
    }
}

fn auth_4_devices_that_nobody_uses_are_forgotten(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    for number in 1..=5 {
        auth.put_device(&device(number, USER, 100)).unwrap();
    }
    let token = |device: u128, expires_ms| RefreshToken {
        token_sha256: [u8::try_from(device).unwrap(); 32],
        owner: RefreshOwner {
            family_id: FAMILY,
            workspace_id: acme(),
            user_id: USER,
            device_id: DeviceId::from_u128(device),
        },
        created_ms: 100,
        expires_ms,
    };
    auth.insert_refresh(&token(2, 2_000)).unwrap();
    auth.insert_refresh(&token(3, 900)).unwrap();
    auth.put_client_status(&[ClientStatus {
        workspace_id: acme(),
        client_id: ClientId::from_u128(9),
        device_id: DeviceId::from_u128(4),
        epoch: 0,
        cursor: 1,
        pending_count: 0,
        oldest_pending_ms: None,
        reported_ms: 100,
    }])
    .unwrap();
    auth.revoke_device(&acme(), DeviceId::from_u128(5), 150).unwrap();
    assert_eq!(auth.purge_unused_devices(&acme(), 100, 1_000).unwrap(), 0, "seen since");
    assert_eq!(auth.purge_unused_devices(&other(), 500, 1_000).unwrap(), 0);
    assert_eq!(auth.purge_unused_devices(&acme(), 500, 1_000).unwrap(), 2);
    let mut left: Vec<DeviceId> =
        auth.list_devices(&acme(), None).unwrap().into_iter().map(|device| device.device_id).collect();
    left.sort();
    assert_eq!(left, [2, 4, 5].map(DeviceId::from_u128), "one can sign in again, one was a replica, one is revoked");
}

fn auth_4_devices_are_listed_renamed_and_revoked_for_good(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let (mine, second, theirs) = (device(2, USER, 20), device(4, USER, 40), device(5, UserId::from_u128(8), 30));
    for device in [&mine, &second, &theirs] {
        assert_eq!(&auth.put_device(device).unwrap(), device);
    }
    assert_eq!(auth.list_devices(&acme(), Some(USER)).unwrap(), [second.clone(), mine.clone()]);
    assert_eq!(auth.list_devices(&acme(), None).unwrap(), [second.clone(), theirs, mine.clone()]);
    assert_eq!(auth.list_devices(&other(), None).unwrap(), []);

    assert!(auth.rename_device(&acme(), DEVICE, "Phone").unwrap());
    auth.touch_devices(&[(acme(), DEVICE, 90), (acme(), DEVICE, 50), (other(), DEVICE, 99)]).unwrap();
    auth.touch_device(&acme(), DEVICE, 70).unwrap();
    let now = auth.device(&acme(), DEVICE).unwrap().unwrap();
    assert_eq!((now.name.as_str(), now.last_seen_ms), ("Phone", 90), "last seen never goes back");

    assert!(auth.revoke_device(&acme(), DEVICE, 100).unwrap());
    assert!(!auth.revoke_device(&acme(), DEVICE, 200).unwrap(), "once");
    let back = auth.put_device(&device(2, USER, 300)).unwrap();
    assert_eq!((back.revoked_ms, back.created_ms), (Some(100), 10), "signing in again does not undo a revocation");
    assert!(auth.device(&acme(), second.device_id).unwrap().unwrap().revoked_ms.is_none());
}

fn hash(number: u8) -> TokenHash {
    [number; 32]
}

fn owner() -> RefreshOwner {
    RefreshOwner { family_id: FAMILY, workspace_id: acme(), user_id: USER, device_id: DEVICE }
}

fn sign_in(auth: &DatabaseAuth) {
    auth.put_device(&device(2, USER, 0)).unwrap();
    let token = RefreshToken { token_sha256: hash(1), owner: owner(), created_ms: 0, expires_ms: 1_000 };
    auth.insert_refresh(&token).unwrap();
}

fn rotate(auth: &DatabaseAuth, old: u8, new: u8, now_ms: u64) -> Rotation {
    let (old_sha256, new_sha256) = (hash(old), hash(new));
    auth.rotate_refresh(&Rotate { old_sha256, new_sha256, now_ms, expires_ms: now_ms + 1_000, grace_ms: 10 }).unwrap()
}

fn auth_3_a_refresh_token_works_once(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    sign_in(&auth);
    assert_eq!(rotate(&auth, 9, 2, 1), Rotation::Unknown);
    assert_eq!(rotate(&auth, 1, 2, 100), Rotation::Rotated(owner()));
    assert_eq!(rotate(&auth, 2, 3, 200), Rotation::Rotated(owner()));
    assert_eq!(rotate(&auth, 1, 4, 300), Rotation::Reused(owner()), "an old token means somebody has a copy");
    assert_eq!(rotate(&auth, 3, 5, 301), Rotation::Revoked(owner()), "so the whole family ends");
    assert_eq!(rotate(&auth, 5, 6, 302), Rotation::Unknown, "a refused exchange stores nothing");
}

fn auth_3_a_lost_reply_may_be_asked_for_again_within_the_grace(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    sign_in(&auth);
    assert_eq!(rotate(&auth, 1, 2, 100), Rotation::Rotated(owner()));
    assert_eq!(rotate(&auth, 1, 3, 109), Rotation::Rotated(owner()), "the reply was lost: another successor");
    assert_eq!(rotate(&auth, 3, 4, 110), Rotation::Rotated(owner()));
    assert_eq!(rotate(&auth, 2, 5, 111), Rotation::Rotated(owner()), "two tabs at once: both stay signed in");
    assert_eq!(rotate(&auth, 1, 6, 109), Rotation::Reused(owner()), "the successor was used: the reply had arrived");
    let Fixture { auth, _place } = fixture(place);
    sign_in(&auth);
    rotate(&auth, 1, 2, 100);
    assert_eq!(rotate(&auth, 1, 3, 110), Rotation::Reused(owner()), "the grace is over");
}

fn auth_3_of_parallel_uses_at_most_the_grace_lets_two_through(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    sign_in(&auth);
    let results: Vec<Rotation> = std::thread::scope(|scope| {
        let racers: Vec<_> = (10..18)
            .map(|new| {
                let auth = auth.clone();
                let strict =
                    Rotate { old_sha256: hash(1), new_sha256: hash(new), now_ms: 5, expires_ms: 99, grace_ms: 0 };
                scope.spawn(move || auth.rotate_refresh(&strict).unwrap())
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    let rotated = results.iter().filter(|result| matches!(result, Rotation::Rotated(_))).count();
    let reused = results.iter().filter(|result| matches!(result, Rotation::Reused(_))).count();
    assert_eq!((rotated, reused), (1, 1), "without grace one wins, the second ends the family: {results:?}");
}

fn auth_3_expiry_and_every_revocation_end_a_token(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    sign_in(&auth);
    assert_eq!(rotate(&auth, 1, 2, 1_000), Rotation::Expired, "the end is exclusive");
    assert_eq!(rotate(&auth, 1, 2, 999), Rotation::Rotated(owner()));
    type Revoke = fn(&DatabaseAuth);
    let revocations: [(&str, Revoke); 3] = [
        ("family", |auth| assert_eq!(auth.revoke_family(FAMILY, 50).unwrap(), 1)),
        ("user", |auth| assert_eq!(auth.revoke_user_tokens(&acme(), USER, 50).unwrap(), [FAMILY])),
        ("device", |auth| assert!(auth.revoke_device(&acme(), DEVICE, 50).unwrap())),
    ];
    for (what, revoke) in revocations {
        let Fixture { auth, _place } = fixture(place);
        sign_in(&auth);
        auth.revoke_user_tokens(&other(), USER, 40).unwrap();
        auth.revoke_user_tokens(&acme(), UserId::from_u128(77), 40).unwrap();
        revoke(&auth);
        assert_eq!(rotate(&auth, 1, 2, 60), Rotation::Revoked(owner()), "{what}");
    }
    let Fixture { auth, _place } = fixture(place);
    sign_in(&auth);
    rotate(&auth, 1, 2, 20);
    assert_eq!(auth.ended_sign_ins(0).unwrap(), []);
    assert_eq!(auth.revoke_user_tokens(&acme(), USER, 50).unwrap(), [FAMILY]);
    assert!(auth.revoke_user_tokens(&acme(), USER, 60).unwrap().is_empty(), "what has ended stays as it is");
    assert_eq!(auth.ended_sign_ins(50).unwrap(), [(FAMILY, 1_020)], "until its last token expires");
    assert_eq!(auth.ended_sign_ins(51).unwrap(), []);
    let Fixture { auth, _place } = fixture(place);
    sign_in(&auth);
    auth.revoke_device(&acme(), DEVICE, 50).unwrap();
    let later = RefreshToken { token_sha256: hash(7), owner: owner(), created_ms: 60, expires_ms: 1_000 };
    auth.insert_refresh(&later).unwrap();
    assert_eq!(rotate(&auth, 7, 8, 61), Rotation::Revoked(owner()), "also a token issued after the revocation");
    assert_eq!(auth.purge_expired_refresh(1_000).unwrap(), 0);
    assert_eq!(auth.purge_expired_refresh(1_001).unwrap(), 2);
}

fn sync_9_the_last_report_of_a_client_counts(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let report = |client: u128, reported_ms| ClientStatus {
        workspace_id: acme(),
        client_id: ClientId::from_u128(client),
        device_id: DEVICE,
        epoch: 1,
        cursor: 1 << 40,
        pending_count: reported_ms,
        oldest_pending_ms: (reported_ms % 2 == 0).then_some(5),
        reported_ms,
    };
    auth.put_client_status(&[report(2, 10), report(1, 11), report(2, 12)]).unwrap();
    auth.put_client_status(&[report(2, 9)]).unwrap();
    assert_eq!(auth.list_client_status(&acme()).unwrap(), [report(1, 11), report(2, 12)]);
    assert_eq!(auth.list_client_status(&other()).unwrap(), []);
    let asked = |since_ms| BacklogQuery { since_ms, now_ms: 20, stuck_ms: 8 };
    assert_eq!(auth.client_backlogs(&asked(13)).unwrap(), []);
    assert_eq!(auth.stuck_clients(&asked(0), 10).unwrap(), [report(2, 12)]);
    assert_eq!(auth.stuck_clients(&asked(13), 10).unwrap(), []);
    let backlogs = auth.client_backlogs(&asked(0)).unwrap();
    let expected =
        Backlog { workspace_id: acme(), clients: 2, cursor_min: 1 << 40, pending: 23, oldest_ms: 13, stuck: 1 };
    assert_eq!(backlogs, [expected], "ages go on after the report");
    assert_eq!(auth.purge_client_status(&acme(), 12).unwrap(), 1);
    assert_eq!(auth.list_client_status(&acme()).unwrap(), [report(2, 12)]);
}

fn auth_3_secrets_are_made_once_and_kept_apart(place: NewPlace) {
    let Fixture { auth, _place } = fixture(place);
    let made: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..4_u8)
            .map(|racer| {
                let auth = auth.clone();
                scope.spawn(move || auth.kv_get_or_put(None, "jwt", &[racer]).unwrap())
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert!(made.iter().all(|value| *value == made[0]), "everybody gets the first one: {made:?}");
    auth.kv_put(Some(&acme()), "jwt", b"other").unwrap();
    auth.kv_put(Some(&acme()), "jx%", b"").unwrap();
    assert_eq!(auth.kv_get(None, "jwt").unwrap().as_ref(), Some(&made[0]));
    assert_eq!(auth.kv_get(Some(&acme()), "jwt").unwrap().as_deref(), Some(&b"other"[..]));
    assert_eq!(auth.kv_get(Some(&other()), "jwt").unwrap(), None);
    assert_eq!(auth.kv_list(Some(&acme()), "j").unwrap(), ["jwt", "jx%"]);
    assert_eq!(auth.kv_list(Some(&acme()), "jx%").unwrap(), ["jx%"], "a prefix is no pattern");
    assert!(auth.kv_delete(Some(&acme()), "jwt").unwrap() && !auth.kv_delete(Some(&acme()), "jwt").unwrap());
}

fn auth_2_an_account_elsewhere_is_linked_once_per_workspace(place: NewPlace) {
    let Fixture { auth, .. } = &fixture(place);
    let identity = |workspace_id: WorkspaceId, subject: &str, user: u128| {
        let (provider, subject) = ("supabase".to_owned(), subject.to_owned());
        Identity { workspace_id, provider, subject, user_id: UserId::from_u128(user), linked_ms: 7 }
    };
    assert_eq!(auth.find_identities("supabase", "s1").unwrap(), []);
    assert!(auth.link_identity(&identity(other(), "s1", 9)).unwrap());
    assert!(auth.link_identity(&identity(acme(), "s1", 1)).unwrap());
    assert!(auth.link_identity(&identity(acme(), "s1", 1)).unwrap(), "linking again changes nothing");
    assert!(!auth.link_identity(&identity(acme(), "s1", 2)).unwrap(), "the account is somebody else");
    assert!(!auth.link_identity(&identity(acme(), "s2", 1)).unwrap(), "the user has another account");
    assert_eq!(
        auth.find_identities("supabase", "s1").unwrap(),
        [identity(acme(), "s1", 1), identity(other(), "s1", 9)]
    );
    assert_eq!(auth.find_identities("elsewhere", "s1").unwrap(), []);
    assert!(auth.unlink_identity(&acme(), "supabase", UserId::from_u128(1)).unwrap());
    assert!(!auth.unlink_identity(&acme(), "supabase", UserId::from_u128(1)).unwrap());
    assert!(auth.link_identity(&identity(acme(), "s2", 1)).unwrap());
}
