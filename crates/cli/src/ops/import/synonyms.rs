//! What other systems call our fields. Headers are compared folded: lower case, letters and digits only.

pub fn fold(header: &str) -> String {
    header.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

pub const EXTERNAL_ID: &[&str] = &[
    "accountid",
    "prospectid",
    "leadnumber",
    "leadid",
    "customerid",
    "contactid",
    "recordid",
    "externalid",
    "crmid",
    "organizationid",
    "companyid",
    "opportunityid",
];
pub const STATUS: &[&str] = &["dealstage", "leadstatus", "leadstage", "stage", "status"];
pub const OWNER: &[&str] =
    &["leadowner", "owner", "contactowner", "accountowner", "assignedto", "assignee", "salesagent", "ownerid"];

/// Fields that a lead and its contact both have, of which an import writes the lead's.
pub const LEAD_FIRST: &[&str] = &[
    "lead_source",
    "sub_source",
    "market",
    "priority",
    "estimated_value",
    "currency",
    "notes",
    "product_interest",
    "expected_close_date",
    "temperature",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "captured_url",
    "tags",
];

/// `(field, folded headers)`, for every entity that has the field.
const FIELDS: &[(&str, &[&str])] = &[
    ("firstname", &["first", "givenname", "vorname", "forename"]),
    ("lastname", &["last", "surname", "familyname", "nachname"]),
    ("name", &["fullname", "contactname", "displayname"]),
    ("email", &["email1", "emailaddress", "mail", "primaryemail", "workemail", "emailadresse"]),
    (
        "phone_number",
        &[
            "phone",
            "phone1",
            "primaryphone",
            "mobile",
            "mobilephone",
            "cell",
            "cellphone",
            "telephone",
            "tel",
            "telefon",
        ],
    ),
    ("secondary_phone", &["phone2", "otherphone", "homephone", "alternatephone"]),
    ("phone", &["phone1", "phonenumber", "telephone", "tel"]),
    ("company_name", &["company", "companyname", "organisation", "organization", "account", "accountname", "firma"]),
    ("job_title", &["title", "position", "jobtitle", "role"]),
    ("date_of_birth", &["dob", "birthday", "birthdate"]),
    ("st_address", &["address", "street", "address1", "streetaddress", "addressline1"]),
    ("address_2", &["address2", "addressline2"]),
    ("state", &["province", "region"]),
    ("zip", &["zipcode", "postalcode", "postcode", "plz"]),
    ("website", &["url", "web", "homepage", "site"]),
    ("lead_source", &["source"]),
    ("lead_status", &["dealstage", "leadstage", "stage", "status"]),
    ("product_interest", &["product", "interest"]),
    ("estimated_value", &["value", "amount", "dealvalue", "closevalue"]),
    ("expected_close_date", &["closedate"]),
    ("notes", &["note", "comment", "comments", "remarks"]),
    ("tags", &["tag", "labels"]),
];

/// Further ones that hold in one entity only.
const FIELDS_OF: &[(&str, &str, &[&str])] = &[
    ("companies", "name", &["company", "companyname", "organization", "organisation", "account"]),
    ("companies", "industry", &["sector"]),
    ("companies", "employees_range", &["employees", "numberofemployees", "size"]),
    ("companies", "annual_revenue", &["revenue"]),
    ("companies", "notes", &["description"]),
    ("products", "name", &["product", "productname"]),
    ("products", "unit_price", &["price", "salesprice", "listprice"]),
    ("products", "sku", &["ean", "productcode", "articlenumber"]),
];

/// Fields of `entity` that a folded header usually means.
pub fn fields<'a>(entity: &'a str, folded: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    let of_entity = FIELDS_OF.iter().filter(move |(of, ..)| *of == entity);
    let of_entity = of_entity.filter(move |(_, _, headers)| headers.contains(&folded)).map(|(_, field, _)| *field);
    of_entity.chain(FIELDS.iter().filter(move |(_, headers)| headers.contains(&folded)).map(|(field, _)| *field))
}
