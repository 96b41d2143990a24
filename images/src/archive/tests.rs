use super::*;

fn read_all(bytes: &[u8], max: u64) -> Result<Vec<Meta>, ArchiveError> {
    let mut archive = Archive::new(bytes);
    let mut members = Members::new(&mut archive, max)?;
    let mut all = Vec::new();
    while let Some(member) = members.next_member()? {
        all.push(member.meta);
    }
    Ok(all)
}

fn header(kind: EntryType, path: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(path).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(7);
    header.set_cksum();
    header
}

fn stream(parts: &[(Header, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (header, data) in parts {
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn pax(records: &[u8]) -> (Header, Vec<u8>) {
    (header(EntryType::XHeader, "pax", records.len() as u64), records.to_vec())
}

#[test]
fn binary_xattrs_with_newlines_and_fractional_times_are_read_by_length() {
    let value = "x\n3 bad=\ny\n";
    let record = format!(" SCHILY.xattr.user.a={value}\n");
    let records = format!("{}{record}15 mtime=-1.25\n", record.len() + 2);
    let records = records.into_bytes();
    let bytes = stream(&[pax(&records), (header(EntryType::Regular, "f", 0), vec![])]);
    let all = read_all(&bytes, 10).unwrap();
    assert_eq!(all[0].xattrs, [(b"user.a".to_vec(), b"x\n3 bad=\ny\n".to_vec())]);
    assert_eq!(all[0].mtime, (-2, 750_000_000));
}

#[test]
fn a_pax_size_that_differs_from_the_header_is_refused() {
    let bytes =
        stream(&[pax(b"13 size=1024\n"), (header(EntryType::Regular, "f", 512), vec![1; 512])]);
    assert!(read_all(&bytes, 10).unwrap_err().to_string().contains("differ"));
}

#[test]
fn a_huge_long_name_is_refused_before_it_is_read() {
    let bytes = stream(&[(header(EntryType::GNULongName, "././@LongLink", 3 << 30), vec![])]);
    assert!(read_all(&bytes, 10).unwrap_err().to_string().contains("bytes in one header"));
}

#[test]
fn endless_extension_headers_hit_the_bound_on_entries() {
    let bytes = stream(&vec![pax(b"11 mtime=1\n"); 20]);
    assert!(read_all(&bytes, 10).unwrap_err().to_string().contains("entries"));
}

#[test]
fn sparse_files_and_unknown_kinds_are_refused_by_name() {
    let bytes = stream(&[(header(EntryType::GNUSparse, "holes", 0), vec![])]);
    assert!(read_all(&bytes, 10).unwrap_err().to_string().contains("holes"));
    let bytes = stream(&[pax(b"22 GNU.sparse.major=1\n")]);
    assert!(read_all(&bytes, 10).unwrap_err().to_string().contains("sparse"));
}

#[test]
fn malformed_pax_records_are_errors() {
    for records in [&b"5 a=b\n"[..], b"99 a=b\n", b"a=b\n", b"6 abcd\n", b"0 a=b\n"] {
        assert!(read_all(&stream(&[pax(records)]), 10).is_err(), "{records:?}");
    }
}
