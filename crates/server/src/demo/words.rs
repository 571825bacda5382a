//! Invented words for the demo's people, companies and wishes. None of them is meant to be anybody.

pub const FIRST_NAMES: [&str; 32] = [
    "Ada", "Bruno", "Carla", "Dario", "Elin", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaia", "Leon", "Mara",
    "Nils", "Olga", "Pablo", "Quinn", "Rosa", "Sami", "Tilda", "Umar", "Vera", "Wim", "Xenia", "Yusuf", "Zoe", "Amira",
    "Bela", "Cleo", "Dov", "Esme", "Finn",
];

pub const LAST_NAMES: [&str; 32] = [
    "Abelard",
    "Brackwood",
    "Castellan",
    "Dunmore",
    "Eastvale",
    "Fennick",
    "Grauberg",
    "Hollis",
    "Ironside",
    "Jessup",
    "Kestrel",
    "Lindqvist",
    "Marrow",
    "Northgate",
    "Ostrander",
    "Pemberly",
    "Quillon",
    "Ravenel",
    "Silverton",
    "Thackery",
    "Underhay",
    "Vantongeren",
    "Westerby",
    "Yarrow",
    "Zellweger-Ott",
    "Albrecht",
    "Birchall",
    "Corvane",
    "Delacroix-Moll",
    "Elmhurst",
    "Foxglove",
    "Gantry",
];

pub const COMPANY_HEADS: [&str; 20] = [
    "Blue Heron",
    "Copperfield",
    "Driftwood",
    "Evergreen",
    "Fallow",
    "Granite",
    "Harbour",
    "Inkwell",
    "Juniper",
    "Kiln",
    "Lantern",
    "Meadow",
    "Nimbus",
    "Orchard",
    "Paper Crane",
    "Quarry",
    "Riverbend",
    "Saltmarsh",
    "Tidewater",
    "Umber",
];

pub const COMPANY_TAILS: [&str; 10] =
    ["Logistics", "Foods", "Studios", "Robotics", "Textiles", "Energy", "Clinics", "Software", "Travel", "Works"];

pub const CITIES: [(&str, &str); 12] = [
    ("Lisbon", "Portugal"),
    ("Ghent", "Belgium"),
    ("Tartu", "Estonia"),
    ("Graz", "Austria"),
    ("Malmo", "Sweden"),
    ("Porto", "Portugal"),
    ("Leipzig", "Germany"),
    ("Bergen", "Norway"),
    ("Cork", "Ireland"),
    ("Lyon", "France"),
    ("Turin", "Italy"),
    ("Delft", "Netherlands"),
];

pub const PRODUCTS: [&str; 8] = [
    "Starter plan",
    "Team plan",
    "Business plan",
    "Onboarding",
    "Data migration",
    "Support package",
    "Training days",
    "Field devices",
];

pub const SOURCES: [&str; 6] = ["website", "referral", "trade fair", "newsletter", "cold call", "partner"];

pub const TAGS: [&str; 8] = ["vip", "renewal", "pilot", "enterprise", "follow up", "price sensitive", "champion", "eu"];

pub const JOB_TITLES: [&str; 8] = [
    "Head of Sales",
    "Operations Manager",
    "Founder",
    "Buyer",
    "Office Manager",
    "Chief Technology Officer",
    "Team Lead",
    "Consultant",
];
