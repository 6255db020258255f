//! A rulebook goes out as text and comes back as it was, whatever stands in it.

use std::{fmt::Debug, str::FromStr};

use latchkey_contract::{
    BoardId, BrakeId, ConnectionId, CustomerId, EntitlementId, FieldId, GroupId, MappingId, ObjectId, PersonId,
    PolicyId, SourceId, StatusId, Timestamp, TypeId, directory::Mode,
};
use proptest::{
    collection::vec,
    option,
    prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof, proptest},
};

use crate::{
    access::Length,
    rulebook::{
        ActorRule, AdminsWord, AlertKind, Alerts, AllWord, Brake, CustomerGroup, Delivery, EndsWith, Everybody,
        FieldTrigger, GlobalSettings, Mapping, NameTemplate, Per, Policy, Reason, Rulebook, Source, Statuses,
        Subscriber, Switch, TechnicianGroup, Technicians, Where, check,
    },
};

fn slug<T: FromStr<Err: Debug> + Debug + 'static>() -> BoxedStrategy<T> {
    "[a-z][a-z0-9-]{0,6}".prop_map(|text| text.parse().unwrap()).boxed()
}

fn word<T: FromStr<Err: Debug> + Debug + 'static>() -> BoxedStrategy<T> {
    "[A-Za-z0-9_.-]{1,6}".prop_map(|text| text.parse().unwrap()).boxed()
}

/// Text with everything that could end a TOML string too soon.
fn text() -> BoxedStrategy<String> {
    let odd = prop_oneof![
        any::<char>(),
        Just('"'),
        Just('\''),
        Just('\\'),
        Just('\n'),
        Just('\r'),
        Just('#'),
        Just(']'),
        Just('\t'),
        Just('\0'),
    ];
    vec(odd, 0..12).prop_map(String::from_iter).boxed()
}

fn length() -> BoxedStrategy<Length> {
    (2u32..=43_200).prop_map(|minutes| Length::minutes(minutes).unwrap()).boxed()
}

fn switch() -> BoxedStrategy<Switch> {
    let to = prop_oneof![
        Just(Subscriber::Owners),
        Just(Subscriber::Admins),
        slug::<PersonId>().prop_map(Subscriber::Person),
        Just(Subscriber::try_from("noc@msp.example".to_owned()).unwrap()),
    ];
    (any::<bool>(), vec(to, 0..3)).prop_map(|(on, to)| Switch { on, to }).boxed()
}

fn alerts() -> BoxedStrategy<Alerts> {
    (vec(switch(), AlertKind::ALL.len()), any::<bool>())
        .prop_map(|(switches, requester)| {
            let of = |kind| switches[AlertKind::ALL.iter().position(|k| *k == kind).unwrap()].clone();
            Alerts {
                account_created: of(AlertKind::AccountCreated),
                account_enabled: of(AlertKind::AccountEnabled),
                failed_to_disable: of(AlertKind::FailedToDisable),
                grant_ended: of(AlertKind::GrantEnded),
                request_refused: of(AlertKind::RequestRefused),
                brake_pulled: of(AlertKind::BrakePulled),
                connector_trouble: of(AlertKind::ConnectorTrouble),
                webhook_trouble: of(AlertKind::WebhookTrouble),
                requester,
                audit_head: of(AlertKind::AuditHead),
            }
        })
        .boxed()
}

fn technician_group() -> BoxedStrategy<TechnicianGroup> {
    let members =
        prop_oneof![Just(Everybody::All(AllWord::All)), vec(slug::<PersonId>(), 0..3).prop_map(Everybody::Only)];
    (slug::<GroupId>(), text(), members, option::of(length()))
        .prop_map(|(id, name, members, max_length)| TechnicianGroup { id, name, members, max_length })
        .boxed()
}

fn customer_group() -> BoxedStrategy<CustomerGroup> {
    (slug::<GroupId>(), text(), vec(slug::<CustomerId>(), 0..3), option::of(length()))
        .prop_map(|(id, name, customers, max_length)| CustomerGroup { id, name, customers, max_length })
        .boxed()
}

fn policy() -> BoxedStrategy<Policy> {
    let technicians = prop_oneof![
        Just(Technicians::Admins(AdminsWord::Admins)),
        vec(slug::<GroupId>(), 0..3).prop_map(Technicians::Groups)
    ];
    let customers = prop_oneof![Just(Where::All(AllWord::All)), vec(slug::<GroupId>(), 0..3).prop_map(Where::Groups)];
    let entitlement = prop_oneof![
        word::<ObjectId>().prop_map(EntitlementId::Role),
        word::<ObjectId>().prop_map(EntitlementId::Group)
    ];
    let who = (slug::<PolicyId>(), text(), option::of(text()), technicians, customers);
    let what = (
        prop_oneof![Just(Mode::Standard), Just(Mode::Burner)],
        vec(entitlement, 0..3),
        vec(length(), 0..3),
        length(),
        length(),
    );
    let how = (
        prop_oneof![Just(Reason::Optional), Just(Reason::Required)],
        prop_oneof![Just(Delivery::ClaimLink), Just(Delivery::Ticket)],
        any::<bool>(),
        prop_oneof![Just("jit-{person}"), Just("{customer}.{person}_{grant}")],
        any::<u32>(),
    );
    (who, what, how)
        .prop_map(|((id, name, description, technicians, customers), what, how)| Policy {
            id,
            name,
            description,
            source: Source::Entra,
            mode: what.0,
            entitlements: what.1,
            technicians,
            customers,
            lengths: what.2,
            default_length: what.3,
            max_length: what.4,
            reason: how.0,
            delivery: how.1,
            ticket_readers_may_use_it: how.2,
            user_name: NameTemplate::parse(how.3).unwrap(),
            warn_minutes: how.4,
        })
        .boxed()
}

fn mapping() -> BoxedStrategy<Mapping> {
    let watched = (
        slug::<MappingId>(),
        slug::<ConnectionId>(),
        vec(word::<BoardId>(), 0..3),
        vec(word::<TypeId>(), 0..3),
        vec(word::<SourceId>(), 0..3),
        vec(word::<StatusId>(), 0..3),
    );
    let trigger = (word::<FieldId>(), vec(text(), 0..3)).prop_map(|(field, values)| FieldTrigger { field, values });
    let asked = (
        option::of(trigger),
        prop_oneof![Just(ActorRule::Technician), Just(ActorRule::Automation)],
        option::of(slug::<PolicyId>()),
        vec(slug::<PolicyId>(), 0..3),
        option::of(length()),
        any::<bool>(),
    );
    let field = || option::of(word::<FieldId>());
    let status = || option::of(word::<StatusId>());
    let read = (field(), field(), field(), field());
    let set = (status(), status(), status());
    let ends_with = (any::<[bool; 6]>(), any::<u32>()).prop_map(|(on, grace_minutes)| EndsWith {
        closed: on[0],
        merged: on[1],
        deleted: on[2],
        company: on[3],
        board: on[4],
        reassigned: on[5],
        grace_minutes,
    });
    (watched, asked, read, set, ends_with)
        .prop_map(|(watched, asked, read, set, ends_with)| Mapping {
            id: watched.0,
            connection: watched.1,
            boards: watched.2,
            types: watched.3,
            sources: watched.4,
            trigger_statuses: watched.5,
            trigger_field: asked.0,
            trigger_board: asked.5,
            actor: asked.1,
            policy: asked.2,
            policies: asked.3,
            max_length: asked.4,
            policy_field: read.0,
            length_field: read.1,
            reason_field: read.2,
            user_name_field: read.3,
            statuses: Statuses { granted: set.0, refused: set.1, ended: set.2 },
            ends_with,
            watched_since: None,
        })
        .boxed()
}

fn brake() -> BoxedStrategy<Brake> {
    let per = prop_oneof![Just(Per::Technician), Just(Per::Customer), Just(Per::Msp)];
    (slug::<BrakeId>(), per, any::<u32>(), length())
        .prop_map(|(id, per, grants, within)| Brake { id, per, grants, within })
        .boxed()
}

pub(in crate::rulebook) fn rulebook() -> BoxedStrategy<Rulebook> {
    let settings = (length(), length(), any::<u32>()).prop_map(|(cools, lapses, poll_minutes)| GlobalSettings {
        binding_cools_for: cools,
        waiting_lapses_after: lapses,
        poll_minutes,
    });
    let groups = (vec(technician_group(), 0..3), vec(customer_group(), 0..3));
    (settings, alerts(), groups, vec(policy(), 0..3), vec(mapping(), 0..3), vec(brake(), 0..3))
        .prop_map(|(settings, alerts, (technician_groups, customer_groups), policies, mappings, brakes)| Rulebook {
            settings,
            alerts,
            technician_groups,
            customer_groups,
            policies,
            mappings,
            brakes,
        })
        .boxed()
}

proptest! {
    /// F56: nothing is lost on the way out and in, whatever people wrote.
    #[test]
    fn a_rulebook_survives_the_round_through_its_text(book in rulebook()) {
        let text = book.to_toml().unwrap();
        let back: Rulebook = check::read(&text).map_err(|faults| format!("{faults}\n{text}")).unwrap();
        proptest::prop_assert_eq!(back, book);
    }
}

/// F56: since when a mapping watches is Latchkey's own memory: it is in no document, and kept when one comes back.
#[test]
fn what_latchkey_remembers_is_not_in_the_text_and_not_lost() {
    let text = "[[policy]]\nid = \"p\"\nname = \"P\"\nsource = \"entra\"\nmode = \"burner\"\nentitlements = [\"group:1\"]\n\
                lengths = [\"4h\"]\nmax_length = \"4h\"\ndelivery = \"claim-link\"\n\
                [[mapping]]\nid = \"m\"\nconnection = \"cw\"\nboards = [\"1\"]\ntrigger_statuses = [\"2\"]\npolicy = \"p\"\n";
    let now = Timestamp::from_millis(1_790_000_000_000);
    let in_force = Rulebook::parse(text).unwrap().in_force_since(&Rulebook::default(), now);
    let exported = in_force.to_toml().unwrap();
    assert!(!exported.contains("watched_since"), "{exported}");
    let later = now + std::time::Duration::from_secs(3600);
    assert_eq!(Rulebook::parse(&exported).unwrap().in_force_since(&in_force, later), in_force);
}

#[test]
fn every_kind_of_table_is_explained_where_it_first_stands() {
    let book = Rulebook::parse(
        "[[technician_group]]\nid = \"a\"\nname = \"A\"\nmembers = \"all\"\n\
         [[technician_group]]\nid = \"b\"\nname = \"B\"\nmembers = []\n",
    );
    let text = book.unwrap().to_toml().unwrap();
    assert_eq!(text.matches("# Technicians who may use the same policies.").count(), 1, "{text}");
    assert!(text.contains("\n[[technician_group]]\nid = \"a\"\nname = \"A\"\nmembers = \"all\"\n"), "{text}");
    assert!(text.contains("\nfailed_to_disable = { on = true, to = [\"owners\"] }\n"), "{text}");
}
