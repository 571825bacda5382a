//! Data that others published, when it lies beside the workspace.

use std::path::{Path, PathBuf};

/// A file or folder of `../shared/data`; `None`, said aloud, when it is not on this machine.
pub fn shared(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !root.exists() {
        println!("{} is missing: this test had nothing to look at", root.display());
        return None;
    }
    Some(root)
}

/// Leads with everything that matters to an import, `count` of them.
pub fn leads_csv(count: usize) -> String {
    let mut text =
        "Account Id,Lead Owner,First Name,Last Name,Company,Phone 1,Email 1,Source,Deal Stage,Favourite\r\n".to_owned();
    for number in 0..count {
        let stage = ["New Lead", "Contacted", "Closed Won", "Closed Lost"][number % 4];
        text += &format!(
            "A{number:05},Nobody Here,First{number},\"Last, {number}\",\"Company \"\"{number}\"\"\",0{number:09},person{number}@example.com,Fair,{stage},tea {number}\r\n"
        );
    }
    text
}

/// The same rows in another order.
pub fn permuted(csv: &str) -> String {
    let mut lines: Vec<&str> = csv.split_inclusive('\n').collect();
    let header = lines.remove(0);
    lines.reverse();
    let middle = lines.len() / 3;
    lines.rotate_left(middle);
    header.to_owned() + &lines.concat()
}
