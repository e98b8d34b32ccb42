"""Which of the 478 landmarks mean what. Right and left are the person's own; the face-mesh topology is public."""

from __future__ import annotations

from .networks.face_mesh import LEFT_IRIS, RIGHT_IRIS

OUTER_EYE_RIGHT, OUTER_EYE_LEFT = 33, 263  # their distance is the inter-ocular distance of every figure
EYE_CORNERS_RIGHT, EYE_CORNERS_LEFT = (33, 133), (263, 362)  # (outer, inner)
LIP_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LIP_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LIPS = LIP_OUTER + LIP_INNER
# (upper, lower), the person's right to left; the fifth is the mid-line.
LIP_PAIRS = ((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324))
MIDDLE_LIPS = (13, 14)
MOUTH_CORNERS = (61, 291)
LID_RIGHT = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LID_LEFT = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
LIDS = LID_RIGHT + LID_LEFT
LID_PAIRS_RIGHT = ((161, 163), (160, 144), (159, 145), (158, 153), (157, 154))  # (upper, lower)
LID_PAIRS_LEFT = ((388, 390), (387, 373), (386, 374), (385, 380), (384, 381))
BROWS = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
NOSE = (1, 2, 4, 5, 6, 19, 45, 48, 64, 94, 97, 98, 115, 168, 195, 197, 220, 275, 278, 294, 326, 327, 344, 440)
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
IRISES = RIGHT_IRIS + LEFT_IRIS
IRIS_CENTRES = (RIGHT_IRIS[0], LEFT_IRIS[0])
