"""Facts and neutral passages of the lab: what its models know, for the quality suites.

A relation has several questions and a table subject -> answer; the wrong choices of a question are
answers of the same relation. Passages are little stories put together from parts by a seeded draw.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relation:
    """Questions with {subject}, and the answers by subject."""

    title: str
    questions: tuple[str, ...]
    answers: dict[str, str]


RELATIONS: dict[str, Relation] = {
    "capitals": Relation(
        "Capitals",
        ("what is the capital of {subject}", "name the capital city of {subject}", "{subject} has which capital"),
        {
            "france": "Paris", "italy": "Rome", "spain": "Madrid", "norway": "Oslo", "japan": "Tokyo",
            "egypt": "Cairo", "peru": "Lima", "cuba": "Havana", "kenya": "Nairobi", "greece": "Athens",
            "austria": "Vienna", "poland": "Warsaw", "russia": "Moscow", "iran": "Tehran", "china": "Beijing",
            "england": "London", "ireland": "Dublin", "chile": "Santiago", "canada": "Ottawa", "portugal": "Lisbon",
        },
    ),
    "young": Relation(
        "Young animals",
        ("what is a young {subject} called", "give the word for a baby {subject}", "the little one of a {subject} is a what"),
        {
            "cow": "Calf", "sheep": "Lamb", "horse": "Foal", "hen": "Chick", "duck": "Duckling", "goat": "Kid",
            "lion": "Cub", "frog": "Tadpole", "deer": "Fawn", "goose": "Gosling", "pig": "Piglet", "swan": "Cygnet",
        },
    ),
    "homes": Relation(
        "Where animals live",
        ("where does a {subject} live", "what do we call the home of a {subject}", "a {subject} sleeps in which place"),
        {
            "bee": "Hive", "bird": "Nest", "spider": "Web", "fox": "Den", "mole": "Tunnel", "bear": "Cave",
            "shark": "Ocean", "ant": "Hill", "beaver": "Lodge", "camel": "Desert", "monkey": "Jungle", "snail": "Shell",
        },
    ),
    "colours": Relation(
        "Colours",
        ("what colour is {subject}", "say the colour of {subject}", "{subject} has which colour"),
        {
            "grass": "Green", "snow": "White", "coal": "Black", "blood": "Red", "the sky": "Blue",
            "a banana": "Yellow", "a carrot": "Orange", "an elephant": "Grey", "chocolate": "Brown",
            "a flamingo": "Pink", "a plum": "Purple", "a coin of gold": "Golden",
        },
    ),
    "opposites": Relation(
        "Opposites",
        ("what is the opposite of {subject}", "which word means not {subject}", "{subject} is the reverse of what"),
        {
            "hot": "Cold", "big": "Small", "fast": "Slow", "wet": "Dry", "up": "Down", "left": "Right",
            "loud": "Quiet", "rich": "Poor", "early": "Late", "full": "Empty", "open": "Closed", "happy": "Sad",
            "thick": "Thin", "heavy": "Light", "near": "Far", "soft": "Hard", "true": "False", "day": "Night",
            "summer": "Winter", "begin": "End",
        },
    ),
    "workers": Relation(
        "Who does what",
        ("who is the person that {subject}", "name the worker who {subject}", "what is somebody called who {subject}"),
        {
            "bakes bread": "Baker", "flies a plane": "Pilot", "grows wheat": "Farmer", "sails a boat": "Sailor",
            "puts out fires": "Fireman", "cuts hair": "Barber", "treats teeth": "Dentist", "mends pipes": "Plumber",
            "writes poems": "Poet", "catches fish": "Fisher", "builds with bricks": "Mason", "sells meat": "Butcher",
            "drives a taxi": "Driver", "makes clothes": "Tailor", "digs for ore": "Miner", "plays in a film": "Actor",
        },
    ),
    "materials": Relation(
        "What things are made of",
        ("what is {subject} made of", "name the stuff that {subject} comes from", "we make {subject} out of what"),
        {
            "a bottle": "Glass", "a tyre": "Rubber", "a book page": "Paper", "a plank": "Wood", "a nail": "Iron",
            "a sweater": "Wool", "a boot": "Leather", "a vase": "Clay", "a candle": "Wax", "butter": "Milk",
            "flour": "Grain", "wine": "Grapes", "a ring": "Silver", "a wall": "Stone",
        },
    ),
    "days": Relation(
        "Days and months",
        ("what comes right after {subject}", "which one follows {subject}", "name what is next when {subject} ends"),
        {
            "monday": "Tuesday", "tuesday": "Wednesday", "wednesday": "Thursday", "thursday": "Friday",
            "friday": "Saturday", "saturday": "Sunday", "sunday": "Monday", "january": "February",
            "february": "March", "march": "April", "april": "May", "may": "June", "june": "July",
            "july": "August", "august": "September", "september": "October", "october": "November",
            "november": "December", "december": "January",
        },
    ),
}  # fmt: skip

_NAMES = ("Anna", "Peter", "Maria", "Tom", "Lena", "Omar", "Nina", "Paul", "Rosa", "Ivan")
_PLACES = ("market", "library", "park", "station", "school", "harbour", "bakery", "museum", "lake", "farm")
_THINGS = (
    "red apple",
    "blue book",
    "small lamp",
    "green hat",
    "wooden box",
    "paper map",
    "silver bell",
    "warm loaf",
)
_WEATHER = (
    "The sun is warm",
    "A light rain falls",
    "The wind is cold",
    "Soft snow lies on the road",
    "The sky is grey",
)
_OPENINGS = (
    "In the morning {name} walks to the {place}.",
    "On {day} {name} takes the bus to the {place}.",
    "After lunch {name} goes to the {place} with a friend.",
    "{name} lives in a quiet street near the {place}.",
)
_MIDDLES = (
    "There is a {thing} on the table, and {name} looks at it for a long time.",
    "At the {place} somebody sells a {thing} for two coins.",
    "{weather}, so many people stay at home today.",
    "{weather}, and the children play near the {place}.",
    "{name} buys a {thing} and puts it into a bag.",
    "An old man asks {name} for the way to the {place}.",
    "A dog sleeps under a tree next to the {place}.",
    "{name} reads a story about a {thing} and smiles.",
)
_ENDINGS = (
    "In the evening {name} drinks tea and writes a letter.",
    "Then {name} goes home and shows the {thing} to the family.",
    "At night the {place} is empty and the lamps are dark.",
    "Tomorrow {name} wants to come back to the {place}.",
)
_DAYS = ("Monday", "Tuesday", "Friday", "Saturday", "Sunday")


def question(relation: str, subject: str, wording: int) -> str:
    """Return one wording of one fact's question."""
    return RELATIONS[relation].questions[wording].format(subject=subject)


def wordings(relation: str, subject: str) -> tuple[str, ...]:
    """Return every wording of one fact's question."""
    return tuple(
        question(relation, subject, wording) for wording in range(len(RELATIONS[relation].questions))
    )


def choices(relation: str, subject: str, draw: random.Random, count: int = 4) -> tuple[tuple[str, ...], int]:
    """Return shuffled choices from the relation's own answers, and the index of the right one."""
    right = RELATIONS[relation].answers[subject]
    others = sorted(set(RELATIONS[relation].answers.values()) - {right})
    options = [right, *draw.sample(others, count - 1)]
    draw.shuffle(options)
    return tuple(options), options.index(right)


def passage(draw: random.Random) -> str:
    """Return a little story of six sentences about one person."""
    name = draw.choice(_NAMES)
    patterns = [draw.choice(_OPENINGS), *draw.sample(_MIDDLES, 4), draw.choice(_ENDINGS)]
    return " ".join(
        pattern.format(
            name=name,
            place=draw.choice(_PLACES),
            thing=draw.choice(_THINGS),
            weather=draw.choice(_WEATHER),
            day=draw.choice(_DAYS),
        )
        for pattern in patterns
    )
