from visreason.data.embedded import Embedded

CAPTION = "A red bar stands beside a blue one, and both are higher than the line at seven"


def test_only_columns_of_pictures_are_unpacked_and_an_address_is_no_picture(tmp_path):
    url = "https://example.org/pictures/of/bars/and/lines/and/circles?number=17&size=large"
    row = {"image_caption": CAPTION, "image": url, "image_1": CAPTION}
    assert Embedded(tmp_path).unpacked(row) == row
