//! The contract of messages, on every database.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/postgres.rs"]
mod server;

use std::collections::BTreeSet;

use syncline_core::Name;
use syncline_core::id::{DeviceId, MessageId, UserId, WorkspaceId};
use syncline_core::messages::{NewMessage, Origin, Priority, ReceiptState, Target};
use syncline_core::principal::DeploymentMode;
use syncline_core::storage::contract;
use syncline_storage::messages::{
    GroupOutcome, Listed, Mail, MailWanted, Mailbox, MessageGroup, MessageLimits, MessagePage, MessageState,
    ReceiptCursor, Replayed, SendOutcome,
};
use syncline_storage::sqlite::Device;
use syncline_storage::{Database, DatabaseAuth, DatabaseMessages, DatabaseOptions};

use place::{NewPlace, Place};

place::on_every_database![
    msg_4_what_is_stored_is_due_in_order_for_every_device_and_no_other_workspace,
    msg_5_a_critical_message_overtakes_what_waits,
    msg_3_the_same_message_again_is_stored_once_and_another_under_its_id_never,
    msg_6_an_acknowledged_message_is_not_due_any_more_and_only_its_device_can_say_so,
    msg_7_receipts_come_in_order_and_in_pages,
    msg_8_what_runs_out_is_a_dead_letter_and_can_be_sent_again,
    msg_8_what_is_over_is_forgotten_and_makes_room,
    msg_8_a_sender_has_a_share_of_what_is_kept,
    msg_10_a_device_that_appears_later_gets_what_nobody_has_yet,
    msg_10_a_device_that_was_away_for_long_misses_nothing,
    rtr_5_history_is_listed_in_pages_to_those_concerned,
    hub_8_a_node_learns_whom_new_numbers_concern,
    inv_10_a_message_for_too_many_devices_is_refused,
];

const ANN: UserId = UserId::from_u128(1);
const BEN: UserId = UserId::from_u128(2);
/// Ann's.
const LAPTOP: DeviceId = DeviceId::from_u128(11);
/// Ben's.
const PHONE: DeviceId = DeviceId::from_u128(21);
const TABLET: DeviceId = DeviceId::from_u128(22);

struct Fixture {
    messages: DatabaseMessages,
    auth: DatabaseAuth,
    _place: Place,
}

fn acme() -> WorkspaceId {
    WorkspaceId::new("acme").unwrap()
}

fn other() -> WorkspaceId {
    WorkspaceId::new("other").unwrap()
}

/// Ann with a laptop, Ben with a phone and a tablet; in the other workspace somebody with a device of the same id.
fn fixture(place: NewPlace) -> Fixture {
    let place = place();
    let database = Database::open(&place.url(), contract::schema(), DatabaseOptions::default()).unwrap();
    let fixture = Fixture { messages: database.messages(), auth: database.auth(), _place: place };
    fixture.device(acme(), LAPTOP, ANN, DeploymentMode::LocalInstall, 0);
    fixture.device(acme(), PHONE, BEN, DeploymentMode::MobileApp, 0);
    fixture.device(acme(), TABLET, BEN, DeploymentMode::WebApp, 0);
    fixture.device(other(), PHONE, BEN, DeploymentMode::MobileApp, 0);
    fixture
}

fn message(id: u128, to: Target) -> NewMessage {
    NewMessage {
        id: MessageId::from_u128(id),
        from: Origin { user_id: ANN, device_id: LAPTOP },
        message_type: Name::new("note"),
        to,
        priority: Priority::Normal,
        payload: format!("{{\"n\":{id}}}"),
        sent_ms: 100,
        expires_ms: 1_000,
    }
}

fn to_ben() -> Target {
    Target::User(BEN)
}

fn ids(numbers: &[u128]) -> Vec<MessageId> {
    numbers.iter().copied().map(MessageId::from_u128).collect()
}

impl Fixture {
    fn device(&self, workspace_id: WorkspaceId, device_id: DeviceId, user_id: UserId, mode: DeploymentMode, seen: u64) {
        let name = "a".to_owned();
        let (created_ms, last_seen_ms, revoked_ms) = (seen, seen, None);
        let device = Device {
            workspace_id,
            device_id,
            user_id,
            name,
            deployment_mode: mode,
            created_ms,
            last_seen_ms,
            revoked_ms,
        };
        self.auth.put_device(&device).unwrap();
    }

    fn commit(&self, group: MessageGroup) -> GroupOutcome {
        self.messages.commit(&acme(), &group).unwrap()
    }

    fn send(&self, sends: Vec<NewMessage>) -> GroupOutcome {
        self.commit(MessageGroup { sends, now: 100, ..MessageGroup::default() })
    }

    fn acknowledge(&self, device: DeviceId, numbers: &[u128], now: u64) -> GroupOutcome {
        let acknowledged = ids(numbers).into_iter().map(|id| (device, id)).collect();
        self.commit(MessageGroup { acknowledged, now, ..MessageGroup::default() })
    }

    fn mail(&self, device: DeviceId, now: u64) -> Mail {
        let wanted = MailWanted { due_max: 100, receipts_after: Some(ReceiptCursor::default()), receipts_max: 100 };
        self.messages.mail(&acme(), device, wanted, now).unwrap()
    }

    fn due(&self, device: DeviceId) -> Vec<MessageId> {
        self.mail(device, 200).due.into_iter().map(|message| message.id).collect()
    }

    fn adopt(&self, device_id: DeviceId, user_id: UserId, mode: DeploymentMode) -> usize {
        self.messages.adopt(&acme(), Mailbox { user_id, device_id, mode }, 200).unwrap()
    }

    fn listed(&self, listed: Listed) -> Vec<MessageId> {
        let page = MessagePage { listed, message_type: None, before: None, limit: 100 };
        self.messages.list(&acme(), &page).unwrap().into_iter().map(|kept| kept.message.id).collect()
    }
}

fn msg_4_what_is_stored_is_due_in_order_for_every_device_and_no_other_workspace(place: NewPlace) {
    let world = fixture(place);
    let table = [
        (1, to_ben()),
        (2, Target::Device(TABLET)),
        (3, Target::Mode(DeploymentMode::MobileApp)),
        (4, Target::WORKSPACE),
        (5, Target::Device(LAPTOP)),
    ];
    let outcome = world.send(table.map(|(id, to)| message(id, to)).to_vec());
    assert_eq!(outcome.sends, [SendOutcome::Stored { at_ms: 100 }; 5]);
    assert_eq!((outcome.head, outcome.concerned), (5, BTreeSet::from([LAPTOP, PHONE, TABLET])));
    assert_eq!(world.due(PHONE), ids(&[1, 3, 4]));
    assert_eq!(world.due(TABLET), ids(&[1, 2, 4]));
    assert_eq!(world.due(LAPTOP), ids(&[5]), "what goes to all does not come back to the device it came from");
    let first = &world.mail(PHONE, 200).due[0];
    assert_eq!(first.payload, serde_json::json!({"n": 1}));
    assert_eq!((first.from.user_id, first.to.clone(), first.expires_ms), (ANN, to_ben(), 1_000));
    let wanted = MailWanted { due_max: 100, receipts_after: None, receipts_max: 100 };
    assert_eq!(world.messages.mail(&other(), PHONE, wanted, 200).unwrap().due, []);
    let few = MailWanted { due_max: 2, ..wanted };
    assert_eq!(world.messages.mail(&acme(), PHONE, few, 200).unwrap().due.len(), 2);
    let nobody =
        world.send(vec![message(6, Target::Device(DeviceId::from_u128(99))), message(7, Target::User(UserId::NIL))]);
    assert_eq!(nobody.sends, [SendOutcome::NoDevice, SendOutcome::Stored { at_ms: 100 }]);
    world.auth.revoke_device(&acme(), TABLET, 150).unwrap();
    world.send(vec![message(8, to_ben())]);
    assert!(!world.due(TABLET).contains(&MessageId::from_u128(8)), "a revoked device gets nothing more");
}

fn msg_5_a_critical_message_overtakes_what_waits(place: NewPlace) {
    let world = fixture(place);
    let priorities = [Priority::Low, Priority::Normal, Priority::Low, Priority::Critical, Priority::High];
    let sends = (1..).zip(priorities).map(|(id, priority)| NewMessage { priority, ..message(id, to_ben()) });
    world.send(sends.collect());
    assert_eq!(world.due(PHONE), ids(&[4, 5, 2, 1, 3]));
}

fn msg_3_the_same_message_again_is_stored_once_and_another_under_its_id_never(place: NewPlace) {
    let world = fixture(place);
    world.send(vec![message(1, to_ben())]);
    let later = NewMessage { sent_ms: 150, expires_ms: 2_000, ..message(1, to_ben()) };
    let again = world.send(vec![later, message(2, to_ben())]);
    assert_eq!(again.sends, [SendOutcome::Stored { at_ms: 100 }, SendOutcome::Stored { at_ms: 100 }]);
    assert!(again.concerned.contains(&PHONE), "nobody may have heard of the first try");
    let origin = Origin { user_id: BEN, device_id: PHONE };
    let others = [
        NewMessage { from: origin, ..message(1, to_ben()) },
        NewMessage { payload: "{}".to_owned(), ..message(1, to_ben()) },
        message(1, Target::WORKSPACE),
        NewMessage { message_type: Name::new("notice"), ..message(1, to_ben()) },
    ];
    for other in others {
        assert_eq!(world.send(vec![other]).sends, [SendOutcome::IdTaken]);
    }
    assert_eq!(world.due(PHONE), ids(&[1, 2]));
    assert_eq!(
        world
            .messages
            .commit(&other(), &MessageGroup { sends: vec![message(1, to_ben())], now: 100, ..MessageGroup::default() })
            .unwrap()
            .head,
        1,
        "ids and numbers of another workspace are its own"
    );
}

fn msg_6_an_acknowledged_message_is_not_due_any_more_and_only_its_device_can_say_so(place: NewPlace) {
    let world = fixture(place);
    world.send(vec![message(1, to_ben()), message(2, to_ben())]);
    world.acknowledge(LAPTOP, &[1, 2], 110);
    let group =
        MessageGroup { acknowledged: vec![(PHONE, MessageId::from_u128(1))], now: 110, ..MessageGroup::default() };
    world.messages.commit(&other(), &group).unwrap();
    assert_eq!(world.due(PHONE), ids(&[1, 2]), "neither another device nor another workspace acknowledges for it");
    let outcome = world.acknowledge(PHONE, &[1, 77], 120);
    assert_eq!(outcome.concerned, BTreeSet::from([LAPTOP]), "its sender has a receipt");
    assert_eq!(world.due(PHONE), ids(&[2]));
    assert_eq!(world.due(TABLET), ids(&[1, 2]), "each device for itself");
    assert_eq!(world.acknowledge(PHONE, &[1], 130).concerned, BTreeSet::new(), "saying it again changes nothing");
}

fn msg_7_receipts_come_in_order_and_in_pages(place: NewPlace) {
    let world = fixture(place);
    world.send(vec![message(1, to_ben()), message(2, to_ben())]);
    let start = world.mail(LAPTOP, 200).receipts_upto;
    let delivered = vec![(PHONE, MessageId::from_u128(1)), (PHONE, MessageId::from_u128(2))];
    world.commit(MessageGroup { delivered, now: 110, ..MessageGroup::default() });
    world.acknowledge(PHONE, &[1], 120);
    world.acknowledge(TABLET, &[1, 2], 130);
    let mut after = start;
    let mut pages = Vec::new();
    loop {
        let wanted = MailWanted { due_max: 0, receipts_after: Some(after), receipts_max: 2 };
        let mail = world.messages.mail(&acme(), LAPTOP, wanted, 200).unwrap();
        pages.push(mail.receipts.iter().map(|receipt| (receipt.id, receipt.state, receipt.at_ms)).collect::<Vec<_>>());
        after = mail.receipts_upto;
        if !mail.has_more_receipts {
            break;
        }
    }
    let [one, two] = [MessageId::from_u128(1), MessageId::from_u128(2)];
    let (delivered, acknowledged) = (ReceiptState::Delivered, ReceiptState::Acknowledged);
    let expected = [
        vec![(two, delivered, 110), (one, acknowledged, 120)],
        vec![(one, acknowledged, 130), (two, acknowledged, 130)],
        vec![],
    ];
    assert_eq!(pages, expected);
    assert_eq!(world.mail(PHONE, 200).receipts, [], "nobody else's");
}

fn msg_8_what_runs_out_is_a_dead_letter_and_can_be_sent_again(place: NewPlace) {
    let world = fixture(place);
    let nobody = Target::User(UserId::from_u128(9));
    world.send(vec![message(1, to_ben()), message(2, to_ben()), message(3, Target::WORKSPACE), message(4, nobody)]);
    let long = NewMessage { expires_ms: 5_000, ..message(5, to_ben()) };
    world.send(vec![long]);
    world.acknowledge(PHONE, &[1], 120);
    assert_eq!(world.mail(PHONE, 1_000).due.len(), 1, "what ran out is not delivered, swept or not");
    assert_eq!(world.messages.expire(&acme(), 999, 100).unwrap().messages, 0);
    let first = world.messages.expire(&acme(), 1_000, 3).unwrap();
    let rest = world.messages.expire(&acme(), 1_000, 3).unwrap();
    assert_eq!((first.messages, rest.messages, first.dead + rest.dead), (3, 1, 3));
    assert_eq!(world.messages.expire(&acme(), 1_000, 3).unwrap().messages, 0);
    assert!(first.concerned.contains(&LAPTOP));
    assert_eq!(world.listed(Listed::DeadLetters), ids(&[4, 3, 2]), "Ben had the first on one device: that is enough");
    assert_eq!(world.messages.counts().unwrap().dead_letters, 3);

    let replay = |id: u128| {
        world.messages.replay(&acme(), MessageId::from_u128(id), 9_000, MessageLimits::default(), 1_100).unwrap()
    };
    assert_eq!(replay(1), Replayed::NotDead);
    assert_eq!(
        world.messages.replay(&other(), MessageId::from_u128(2), 9_000, MessageLimits::default(), 1_100).unwrap(),
        Replayed::NotDead
    );
    let Replayed::Done { concerned, head } = replay(2) else { panic!("it is a dead letter") };
    assert_eq!(concerned, BTreeSet::from([PHONE, TABLET]));
    assert!(world.messages.concerned_since(&acme(), head - 1).unwrap().devices.contains(&PHONE));
    let due: Vec<_> =
        world.mail(PHONE, 1_200).due.into_iter().map(|message| (message.id, message.expires_ms)).collect();
    assert_eq!(due, [(MessageId::from_u128(5), 5_000), (MessageId::from_u128(2), 9_000)], "behind what was sent since");
    assert_eq!(replay(2), Replayed::NotDead, "once");
    world.acknowledge(TABLET, &[2], 1_300);
    let (kept, deliveries) = world.messages.get(&acme(), MessageId::from_u128(2)).unwrap().unwrap();
    assert_eq!((kept.state, deliveries.len()), (MessageState::Live, 2));
    assert_eq!(deliveries[1].state, Some(ReceiptState::Acknowledged));
}

fn msg_8_what_is_over_is_forgotten_and_makes_room(place: NewPlace) {
    let world = fixture(place);
    let limits = MessageLimits { kept_max: 2, ..MessageLimits::default() };
    let send = |id| {
        let group = MessageGroup { sends: vec![message(id, to_ben())], now: 100, limits, ..MessageGroup::default() };
        world.commit(group).sends[0]
    };
    let stored = SendOutcome::Stored { at_ms: 100 };
    assert_eq!([send(1), send(2), send(3), send(1)], [stored, stored, SendOutcome::Full, stored]);
    world.messages.expire(&acme(), 1_000, 100).unwrap();
    assert_eq!(world.messages.forget(&acme(), 1_000, 100).unwrap(), 0, "not before its time");
    assert_eq!(world.messages.forget(&acme(), 1_001, 1).unwrap(), 1);
    assert_eq!(world.listed(Listed::All), ids(&[2]));
    assert_eq!([send(3), send(4)], [stored, SendOutcome::Full]);
    assert_eq!(world.messages.forget(&acme(), 1_001, 100).unwrap(), 1);
    assert_eq!(world.messages.get(&acme(), MessageId::from_u128(1)).unwrap(), None);
}

fn msg_8_a_sender_has_a_share_of_what_is_kept(place: NewPlace) {
    let world = fixture(place);
    let limits = MessageLimits { kept_max: 7, sender_kept_max: 3, ..MessageLimits::default() };
    let from = |id: u128, sender: UserId| {
        let message = message(id, to_ben());
        NewMessage { from: Origin { user_id: sender, ..message.from }, ..message }
    };
    let send = |sends: Vec<NewMessage>| {
        world.commit(MessageGroup { sends, now: 100, limits, ..MessageGroup::default() }).sends
    };
    let stored = SendOutcome::Stored { at_ms: 100 };
    assert_eq!(send((1..=4).map(|id| from(id, ANN)).collect()), [stored, stored, stored, SendOutcome::SenderFull]);
    assert_eq!(send(vec![from(5, BEN), from(6, ANN), from(1, ANN)]), [stored, SendOutcome::SenderFull, stored]);
    assert_eq!(
        send((7..=10).map(|id| from(id, BEN)).collect()),
        [stored, stored, SendOutcome::SenderFull, SendOutcome::SenderFull]
    );
    world.messages.expire(&acme(), 1_000, 100).unwrap();
    assert_eq!(world.messages.forget(&acme(), 1_001, 1).unwrap(), 1);
    assert_eq!(send(vec![from(11, ANN), from(12, ANN)]), [stored, SendOutcome::SenderFull]);
}

fn msg_10_a_device_that_appears_later_gets_what_nobody_has_yet(place: NewPlace) {
    let world = fixture(place);
    let tablets = Target::Mode(DeploymentMode::WebApp);
    world.send(vec![message(1, to_ben()), message(2, to_ben()), message(3, tablets), message(4, Target::WORKSPACE)]);
    world.send(vec![message(5, Target::User(ANN)), message(6, Target::Device(PHONE))]);
    world.acknowledge(PHONE, &[1], 120);
    let new = DeviceId::from_u128(23);
    world.device(acme(), new, BEN, DeploymentMode::WebApp, 150);
    assert_eq!(world.due(new), []);
    assert_eq!(world.adopt(new, BEN, DeploymentMode::WebApp), 3);
    assert_eq!(world.due(new), ids(&[2, 3, 4]), "not what he has, what is another's, or another device's");
    assert_eq!(world.adopt(new, BEN, DeploymentMode::WebApp), 0, "once");
    assert_eq!(world.adopt(TABLET, BEN, DeploymentMode::WebApp), 0, "who was known lacks nothing");
    world.send(vec![message(7, to_ben())]);
    assert_eq!(world.due(new), ids(&[2, 3, 4, 7]));
}

fn msg_10_a_device_that_was_away_for_long_misses_nothing(place: NewPlace) {
    let world = fixture(place);
    let limits = MessageLimits { idle_ms: 50, ..MessageLimits::default() };
    let outcome =
        world.commit(MessageGroup { sends: vec![message(1, to_ben())], now: 100, limits, ..MessageGroup::default() });
    assert_eq!(outcome.concerned, BTreeSet::new(), "Ben's devices were last seen at 0");
    let direct = message(2, Target::Device(PHONE));
    world.commit(MessageGroup { sends: vec![direct], now: 100, limits, ..MessageGroup::default() });
    assert_eq!(world.due(PHONE), ids(&[2]), "who is named is meant");
    assert_eq!(world.adopt(PHONE, BEN, DeploymentMode::MobileApp), 1);
    assert_eq!(world.due(PHONE), ids(&[1, 2]));
}

fn rtr_5_history_is_listed_in_pages_to_those_concerned(place: NewPlace) {
    let world = fixture(place);
    let notice = NewMessage { message_type: Name::new("notice"), ..message(2, Target::WORKSPACE) };
    let from_ben = NewMessage { from: Origin { user_id: BEN, device_id: PHONE }, ..message(3, Target::User(ANN)) };
    world.send(vec![message(1, to_ben()), notice, from_ben, message(4, to_ben())]);
    assert_eq!(world.listed(Listed::Received(BEN)), ids(&[4, 2, 1]), "once each, however many devices");
    assert_eq!(world.listed(Listed::Received(ANN)), ids(&[3]));
    assert_eq!(world.listed(Listed::Sent(ANN)), ids(&[4, 2, 1]));
    assert_eq!(world.listed(Listed::All), ids(&[4, 3, 2, 1]));
    for listed in [Listed::Received(BEN), Listed::Sent(ANN), Listed::All] {
        let mut page = MessagePage { listed, message_type: None, before: None, limit: 1 };
        let mut seen = Vec::new();
        while let Some(kept) = world.messages.list(&acme(), &page).unwrap().pop() {
            page.before = Some(kept.no);
            seen.push(kept.message.id);
        }
        assert_eq!(seen, world.listed(listed));
        let only = MessagePage { message_type: Some("notice".to_owned()), before: None, limit: 9, ..page };
        assert_eq!(world.messages.list(&acme(), &only).unwrap().len(), 1);
        assert_eq!(world.messages.list(&other(), &only).unwrap(), []);
    }
    let id = MessageId::from_u128(1);
    assert!(world.messages.is_for(&acme(), id, BEN).unwrap());
    assert!(!world.messages.is_for(&acme(), id, ANN).unwrap() && !world.messages.is_for(&other(), id, BEN).unwrap());
    assert_eq!(world.messages.get(&other(), id).unwrap(), None);
}

fn hub_8_a_node_learns_whom_new_numbers_concern(place: NewPlace) {
    let world = fixture(place);
    assert_eq!(world.messages.heads().unwrap(), []);
    let head = world.send(vec![message(1, Target::Device(PHONE))]).head;
    assert_eq!(world.messages.heads().unwrap(), [(acme(), head)]);
    let concerned = world.messages.concerned_since(&acme(), 0).unwrap();
    assert_eq!((concerned.devices, concerned.head, concerned.is_cut), (BTreeSet::from([PHONE]), head, false));
    assert_eq!(world.messages.concerned_since(&acme(), head).unwrap().devices, BTreeSet::new());
    world.acknowledge(PHONE, &[1], 120);
    assert_eq!(world.messages.concerned_since(&acme(), head).unwrap().devices, BTreeSet::from([LAPTOP]));
    assert_eq!(world.messages.concerned_since(&other(), 0).unwrap().devices, BTreeSet::new());
}

fn inv_10_a_message_for_too_many_devices_is_refused(place: NewPlace) {
    let world = fixture(place);
    let limits = MessageLimits { devices_max: 2, ..MessageLimits::default() };
    let sends = vec![message(1, Target::WORKSPACE), message(2, to_ben())];
    let outcome = world.commit(MessageGroup { sends, now: 100, limits, ..MessageGroup::default() });
    assert_eq!(outcome.sends, [SendOutcome::TooManyDevices, SendOutcome::Stored { at_ms: 100 }]);
    assert_eq!(world.listed(Listed::All), ids(&[2]), "nothing of it is stored");
}
