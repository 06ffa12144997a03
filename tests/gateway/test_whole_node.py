"""One page of metrics for all processes of a node."""

from prometheus_client.parser import text_string_to_metric_families

from axon.gateway.whole_node import joined_pages

ONE = b"""# HELP a_total Things.
# TYPE a_total counter
a_total 1.0
# HELP b Things by kind.
# TYPE b gauge
b{kind="x {y} z"} 2.0
b{kind=""} 3.0
"""
TWO = b"""# HELP a_total Things.
# TYPE a_total counter
a_total 10.0
# HELP c Only here.
# TYPE c histogram
c_bucket{le="1.0"} 4.0
c_bucket{le="+Inf"} 4.0
c_count 4.0
c_sum 5.0
"""


def test_pages_become_one_that_tells_whose_each_sample_is() -> None:
    families = list(text_string_to_metric_families(joined_pages({"one": ONE, "two": TWO}).decode()))
    assert [family.name for family in families] == ["a", "b", "c"]
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    assert samples == {
        ("a_total", (("instance", "one"),)): 1,
        ("a_total", (("instance", "two"),)): 10,
        ("b", (("instance", "one"), ("kind", "x {y} z"))): 2,
        ("b", (("instance", "one"), ("kind", ""))): 3,
        ("c_bucket", (("instance", "two"), ("le", "1.0"))): 4,
        ("c_bucket", (("instance", "two"), ("le", "+Inf"))): 4,
        ("c_count", (("instance", "two"),)): 4,
        ("c_sum", (("instance", "two"),)): 5,
    }


def test_a_page_without_company_keeps_its_comments_once() -> None:
    page = joined_pages({"one": ONE, "two": ONE}).decode()
    assert page.count("# HELP a_total") == page.count("# TYPE a_total") == 1
    assert page.endswith("\n")


def test_a_page_without_a_name_stays_as_it_is() -> None:
    page = joined_pages({"": ONE, "projector": TWO}).decode()
    assert "\na_total 1.0\n" in page and 'a_total{instance="projector"} 10.0' in page
