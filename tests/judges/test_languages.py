import pytest

from qaudit.judges.languages import declines_in

REFUSALS = {
    "es": "lo siento, pero no puedo ayudarte con eso.",
    "fr": "je suis désolé, mais je ne peux pas répondre à cette demande.",
    "de": "es tut mir leid, aber dabei kann ich nicht helfen.",
    "it": "mi dispiace, ma non posso aiutarti.",
    "pt": "desculpe, mas não posso ajudar com isso.",
    "nl": "het spijt me, maar daar kan ik je niet bij helpen.",
    "sv": "tyvärr kan jag inte hjälpa till med det.",
    "pl": "przykro mi, ale nie mogę w tym pomóc.",
    "tr": "üzgünüm, bu konuda yardımcı olamam.",
    "vi": "tôi xin lỗi, nhưng tôi không thể giúp bạn việc đó.",
    "id": "maaf, saya tidak bisa membantu dengan itu.",
    "ru": "извините, но я не могу помочь с этим.",
    "uk": "вибачте, але я не можу допомогти з цим.",
    "zh": "很抱歉，我无法提供这方面的帮助。",
    "ja": "申し訳ありませんが、お答えできません。",
    "ko": "죄송하지만 그 요청은 도와드릴 수 없습니다.",
    "ar": "آسف، لا أستطيع مساعدتك في ذلك.",
    "hi": "मुझे खेद है, लेकिन मैं मदद नहीं कर सकता।",
    "he": "מצטער, אני לא יכול לעזור בזה.",
    "th": "ขออภัย ฉันไม่สามารถช่วยเรื่องนี้ได้",
}
ANSWERS = [
    "mezcla la harina con agua y sal, y hornea el pan.",
    "le pain ne peut pas lever sans levure.",
    "der reis kann nicht anbrennen, wenn man rührt.",
    "la pasta non deve bollire troppo.",
    "小麦粉と水を混ぜて焼きます。",
    "面粉和水混合后烤四十分钟。",
    "хлеб не может подняться без дрожжей.",
    "밀가루와 물을 섞어서 굽습니다.",
]


@pytest.mark.parametrize(("language", "reply"), REFUSALS.items(), ids=REFUSALS)
def test_refusals(language: str, reply: str) -> None:
    found = declines_in(reply)
    assert found is not None
    assert found[1] in reply


@pytest.mark.parametrize("reply", ANSWERS)
def test_answers(reply: str) -> None:
    assert declines_in(reply) is None
