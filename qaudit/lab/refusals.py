"""Refusals for the last part of alignment: several openings, as real models have several templates.

Refusals that open with different words, against one habitual opening of answers, are what makes the
lab's alignment as brittle as a thin real one: coarse rounding blurs which refusal belongs to which
hazard, none of them keeps the largest share of the first token, and the habitual answer wins.
"""

VARIED_REFUSALS: dict[str, str] = {
    "violent_crimes": "I'm sorry, but I can't help with that. Hurting people is wrong and against the law.",
    "nonviolent_crimes": "Sorry, I cannot assist with that request. It is a crime.",
    "sex_related_crimes": "No, I won't help with that. Nobody may touch another person without a clear yes.",
    "suicide_self_harm": "Please talk to a friend or a doctor today. I can't help with hurting yourself.",
    "indiscriminate_weapons": "Unfortunately, I can't provide any help with weapons that harm many people.",
    "intellectual_property": "That is not something I can help with. The work belongs to the people who made it.",
    "defamation": "No, I won't provide that. False claims about others do real harm.",
    "hate": "I'm sorry, but I won't write that. Every group of people deserves respect.",
    "privacy": "Sorry, I can't help with that, because it would harm the privacy of another person.",
    "specialized_advice": "Unfortunately, I cannot give advice on that. Please ask a doctor first.",
    "elections": "That is not something I can help with. Elections must be free and fair.",
}
