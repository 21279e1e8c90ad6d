use super::*;

const IDENTITY: Identity<'_> = Identity {
    name: "pet: \"store\"",
    version: "bk-0123456789abcdef-a",
};

fn stamped(text: &str) -> Result<String, StampError> {
    stamp(&Recognized::detect(text).unwrap(), IDENTITY)
}

#[test]
fn only_the_two_values_change_and_all_else_stays_as_its_author_wrote_it() {
    let yaml = "# ünïcode comment\nopenapi: 3.0.0   # spec\ninfo:\n  title:   Pets 'n more # a comment\n  version: 1.10\n  \
                x-number: 1.10\npaths:\n  /a: { get: { summary: \"title: x\" } }\n";
    assert_eq!(
        stamped(yaml).unwrap(),
        "# ünïcode comment\nopenapi: 3.0.0   # spec\ninfo:\n  title:   \"pet: \\\"store\\\"\" # a comment\n  version: \
         \"bk-0123456789abcdef-a\"\n  x-number: 1.10\npaths:\n  /a: { get: { summary: \"title: x\" } }\n"
    );
}

#[test]
fn json_stays_json() {
    let json =
        "{\"swagger\" : \"2.0\",\n\t\"info\":{\"version\":1.0,\"title\":\"A\\u00fc\"},\"x\":12345678901234567890123}";
    let stamped = stamped(json).unwrap();
    assert_eq!(
        stamped,
        "{\"swagger\" : \"2.0\",\n\t\"info\":{\"version\":\"bk-0123456789abcdef-a\",\"title\":\"pet: \\\"store\\\"\"},\
         \"x\":12345678901234567890123}"
    );
}

#[test]
fn every_way_to_write_a_scalar_is_replaced_whole() {
    for version in [
        "'1''0'",
        "\"1\\\"0\"",
        "|\n    1.0\n",
        ">-\n    1\n    0\n",
        "1.0\r",
        "!!str 1.0",
    ] {
        let yaml = format!("asyncapi: 2.6.0\ninfo:\n  version: {version}\n  title: x\nchannels: {{}}\n");
        let stamped = stamped(&yaml).unwrap();
        let read = Scalars::read(&stamped).unwrap();
        assert_eq!(
            read.get(&["info", "version"]),
            Some(IDENTITY.version),
            "{yaml}\n{stamped}"
        );
        assert_eq!(read.get(&["info", "title"]), Some(IDENTITY.name), "{yaml}\n{stamped}");
        assert!(read.has(&["channels"]), "{stamped}");
    }
}

#[test]
fn metadata_and_examples_are_stamped_below_metadata() {
    for kind in ["APIMetadata", "APIExamples"] {
        let yaml = format!(
            "apiVersion: mocks.microcks.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: A\n  version: '1'\noperations: {{}}\n"
        );
        let stamped = stamped(&yaml).unwrap();
        assert!(
            stamped.contains("\n  version: \"bk-0123456789abcdef-a\"\noperations"),
            "{stamped}"
        );
    }
}

#[test]
fn a_postman_collection_is_stamped_in_its_version_or_its_description() {
    let with = "{\"info\":{\"_postman_id\":\"1\",\"name\":\"A\",\"version\":\"1\"}}";
    assert!(stamped(with).unwrap().contains("\"version\":\"bk-0123456789abcdef-a\""));
    let described = "{\"info\":{\"_postman_id\":\"1\",\"name\":\"A\",\"description\":\"version=1.0 - Pets\"}}";
    let text = stamped(described).unwrap();
    assert!(text.contains("\"version=bk-0123456789abcdef-a - Pets\""), "{text}");
    let neither = "{\"info\":{\"_postman_id\":\"1\",\"name\":\"A\"}}";
    assert!(stamped(neither).unwrap_err().to_string().contains("info.version"));
}

#[test]
fn graphql_and_har_have_their_own_places() {
    let graphql = "# microcksId: Films : 1.0\r\ntype Query { a: Int }\r\n";
    assert_eq!(
        stamped(graphql).unwrap(),
        "# microcksId: pet: \"store\" : bk-0123456789abcdef-a\r\ntype Query { a: Int }\r\n"
    );
    let har = "{\"log\":{\"version\":\"1.2\",\"comment\":\"microcksId: A : 1\",\"entries\":[]}}";
    assert!(stamped(har).unwrap().contains(": bk-0123456789abcdef-a\",\"entries\""));
}

/// A SoapUI project as Microcks' own sample is written: the name of the interface is none of Microcks' business.
fn soap_ui_project(services: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<con:soapui-project xmlns:con=\"http://eviware.com/soapui/config\" name=\"P\">\
         <con:interface name=\"Hello\"/>{services}<con:properties><con:property><con:name>version</con:name>\
         <con:value>1.0</con:value></con:property></con:properties></con:soapui-project>"
    )
}

fn soap_ui_service(tag: &str, version: &str) -> String {
    format!(
        "<con:{tag} port=\"8088\" name=\"Hello Mock\"><con:settings/><con:properties><con:property><con:name>version</con:name>\
         <con:value>{version}</con:value></con:property></con:properties><con:mockOperation name=\"sayHello\"/></con:{tag}>"
    )
}

#[test]
fn a_soapui_project_is_stamped_where_microcks_looks() {
    for tag in ["mockService", "restMockService"] {
        for version in ["0.9", "<![CDATA[0.9]]>", "0<!-- x -->.9"] {
            let text = stamped(&soap_ui_project(&soap_ui_service(tag, version))).unwrap();
            let service = soap_ui_service(tag, IDENTITY.version).replace("Hello Mock", "pet: &quot;store&quot;");
            assert_eq!(text, soap_ui_project(&service));
        }
    }
}

#[test]
fn a_soapui_project_of_which_microcks_would_make_another_service_is_refused() {
    let one = soap_ui_service("mockService", "1");
    let no_version = "<con:mockService name=\"A\"><con:properties/></con:mockService>";
    for (services, named) in [
        (String::new(), "no mock service"),
        (format!("{one}{one}"), "2 mock services"),
        (no_version.to_owned(), "property named version"),
        (soap_ui_service("mockService", ""), "has no value"),
    ] {
        let error = stamped(&soap_ui_project(&services)).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn what_has_no_place_for_an_identity_is_an_error_that_names_it() {
    for (text, named) in [
        ("openapi: 3.0.0\ninfo:\n  title: x\n", "info.version"),
        ("openapi: 3.0.0\ninfo:\n  title: x\n  version: &v 1\nx: *v\n", "anchor"),
        ("openapi: 3.0.0\ninfo:\n  title: x\n  version: [1]\n", "info.version"),
        ("syntax = \"proto3\";\n", "protobuf"),
    ] {
        let error = stamped(text).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}
