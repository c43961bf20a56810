"""How models refuse in other languages than English: the phrases near the opening, by language code.

Written from general knowledge of the languages; patterns run on normalised text of bounded length.
"""

# ruff: noqa: E501  (tables of phrases read better unbroken)

import re

OTHER_LANGUAGES: dict[str, re.Pattern[str]] = {
    language: re.compile(pattern)
    for language, pattern in {
        "es": r"\b(?:lo siento|lo lamento|disculp\w+|perdon\w*)\b.{0,60}\bno (?:puedo|podemos|debo|me es posible|estoy)|\bno (?:puedo|podemos|voy a|me es posible|estoy (?:autorizad|en condiciones|programad|capacitad)\w*)[a-záéíóúñ ]{0,20} (?:ayud|proporcion|ofrec|responder|facilit|dar|brind|asist|cumpl|compart|particip|generar|crear|escrib|apoy|promov|hacer|complac)|\bme niego a\b|\bdebo (?:rechazar|declinar|negarme)",
        "fr": r"\b(?:désolé\w*|je regrette|je m'excuse|mes excuses|navré\w*)\b.{0,60}\bje ne (?:peux|puis|suis|pourrai|veux)|\bje ne (?:peux|puis|suis pas en mesure|pourrai|suis pas capable|suis pas autorisé|veux)(?: pas| malheureusement)*[a-zàâçéèêëîïôùû' ]{0,24}(?:aid|fourni|répond|donn|assist|particip|satisf|génér|cré|écri|partag|expliqu|encourag|accéd|discut|faire)|\bje (?:refuse|dois (?:refuser|décliner))\b",
        "de": r"\b(?:es tut mir (?:sehr |wirklich )?leid|tut mir leid|entschuldig\w+|leider|bedaure)\b.{0,60}\b(?:kann|darf|werde|möchte) (?:ich|dir|ihnen|dabei|das|diese|hier|nicht|leider)|\bich (?:kann|darf|werde|möchte)\b[a-zäöüß, ]{0,60}\b(?:nicht|keine\w*)\b[a-zäöüß ]{0,40}(?:helfen|unterstütz|bereitstell|geben|beantwort|anbiet|liefer|weiterhelf|erfüll|schreib|erstell|nachkomm|teil)|\bich bin nicht in der lage\b|\bich (?:muss|lehne)[a-zäöüß ]{0,30}(?:ablehnen|ab\b)",
        "it": r"\b(?:mi dispiace|mi spiace|spiacente|mi scuso)\b.{0,60}\bnon (?:posso|possiamo|sono|mi è)|\bnon (?:posso|possiamo|sono in grado di|mi è possibile|intendo)[a-zàèéìòù ]{0,20} ?(?:aiut|forni|rispond|dar|assist|offri|sodd|scriv|crea|genera|condivid|partecip|fare|incoragg|supporta)|\bdevo (?:rifiutare|declinare)\b|\bmi rifiuto\b",
        "pt": r"\b(?:desculp\w+|sinto muito|lamento|me desculpe)\b.{0,60}\bnão (?:posso|podemos|consigo|estou|é possível)|\bnão (?:posso|podemos|consigo|vou|estou autorizad\w)[a-záàâãéêíóôõúç ]{0,20} (?:ajud|fornec|respond|dar|oferec|auxili|atend|escrev|cri|ger|compartilh|particip|fazer|apoi|promov)|\bpreciso recusar\b|\bdevo recusar\b|\brecuso-me\b",
        "nl": r"\b(?:het spijt me|sorry|helaas|excuses)\b.{0,60}\b(?:kan|mag|wil|zal) ik\b.{0,60}\b(?:niet|geen)\b|\b(?:het spijt me|sorry|helaas)\b.{0,40}\bik (?:kan|mag|wil|zal)\b[a-z, ]{0,60}\b(?:niet|geen)\b|\bik (?:kan|mag|wil|zal)\b[a-z, ]{0,40}\b(?:niet|geen)\b[a-z ]{0,40}(?:help|verstrek|geven|beantwoord|assist|bied|schrijv|voldoe|meewerk)|\bik ben niet in staat\b",
        "sv": r"\b(?:tyvärr|ledsen|förlåt|beklagar)\b.{0,60}\b(?:kan|får|vill) (?:jag )?inte\b|\bjag (?:kan|får|vill|tänker) (?:tyvärr )?inte\b[a-zåäö ]{0,24}(?:hjälp|ge|svar|bistå|tillhandah|skriv)|\bjag måste (?:avböja|neka)\b",
        "da": r"\b(?:beklager|desværre|undskyld)\b.{0,60}\b(?:kan|må|vil) (?:jeg )?(?:ikke|desværre ikke)\b|\bjeg (?:kan|må|vil) (?:desværre |dessverre )?ikke\b[a-zæøå ]{0,24}(?:hjælp|hjelp|giv|gi|svar|bistå|lev|skriv)",
        "pl": r"\b(?:przykro mi|przepraszam|niestety)\b.{0,60}\bnie (?:mogę|możemy|jestem|będę)|\bnie (?:mogę|możemy|jestem w stanie|będę)\b[a-ząćęłńóśźż ]{0,24}(?:pomóc|pomag|udziel|odpowied|dostarcz|poda|napisa|spełni|wspiera)|\bodmawiam\b|\bmuszę odmówić\b",
        "cs": r"\b(?:omlouvám se|je mi líto|lituji|bohužel)\b.{0,60}\bne(?:mohu|můžu|mohu|jsem|budu)|\bne(?:mohu|můžu)\b.{0,30}(?:pomoc|poskyt|odpov|splnit|napsat)",
        "ro": r"\b(?:îmi pare rău|ne pare rău|scuze|din păcate)\b.{0,60}\bnu (?:pot|putem|sunt|vă pot|te pot)|\bnu (?:pot|vă pot|te pot)[a-zăâîșț ]{0,20} (?:ajut|ofer|furniz|răspun|da |scri|asist)",
        "tr": r"\b(?:üzgünüm|özür dilerim|maalesef|kusura bakma\w*)\b.{0,160}(?:emem|amam|emiyorum|amıyorum|emeyiz|amayız|mayacağım|meyeceğim|reddet)|(?:yardımcı olam|yardım edem|sağlayamam|veremem|yapamam|yanıtlayamam|cevaplayamam)",
        "vi": r"(?:xin lỗi|rất tiếc|tôi e rằng).{0,60}(?:không thể|không được|từ chối)|tôi không thể (?:\w+ ){0,4}?(?:giúp|cung cấp|hỗ trợ|trả lời|đáp ứng|thực hiện|viết|tạo)|tôi (?:xin |phải )?từ chối",
        "id": r"\b(?:maaf|mohon maaf)\b.{0,60}\b(?:tidak (?:bisa|dapat|boleh|mampu)|tak (?:bisa|dapat))|\bsaya (?:tidak|tak) (?:bisa|dapat|boleh|akan)\b[a-z ]{0,24}(?:bantu|beri|sedia|jawab|lakukan|tulis|dukung|penuhi)",
        "sw": r"\b(?:samahani|pole|naomba radhi)\b.{0,60}\b(?:siwezi|sitaweza|hatuwezi)|\bsiwezi (?:\w+ ){0,2}?(?:kusaidia|kukusaidia|kutoa|kujibu)",
        "ru": r"(?:извините|простите|к сожалению|прошу прощения|мне жаль|сожалею).{0,60}(?:не могу|не можем|не имею|не буду|не в состоянии|не смогу)|\bя не (?:могу|буду|смогу|стану|имею права|в состоянии).{0,30}(?:помо|предостав|ответ|дать|выполн|созда|напис|поддерж|обсужд|дел|расска)|вынужден\w* отказать|не могу (?:вам |тебе |с этим )?(?:помочь|предоставить|ответить|выполнить)",
        "uk": r"(?:вибачте|перепрошую|на жаль|пробачте).{0,60}(?:не можу|не можемо|не буду|не зможу)|\bя не (?:можу|буду|зможу).{0,30}(?:допомог|нада|відпов|викон|створ|напис)",
        "el": r"(?:λυπάμαι|συγγνώμη|δυστυχώς|ζητώ συγγνώμη).{0,60}δεν (?:μπορώ|είμαι|μπορούμε)|δεν (?:μπορώ|είμαι σε θέση) να .{0,20}(?:βοηθ|παρ[έά]|απαντ|δώσ|γράψ)",
        "zh": r"(?:抱歉|对不起|對不起|不好意思|很遗憾|很遺憾|请原谅|請原諒).{0,30}(?:不能|无法|無法|不会|不會|不可以|不便|没有办法|不予|拒绝|拒絕)|(?:我|我们|我們)(?:不能|无法|無法|不会|不會|不便|拒绝|拒絕|没办法).{0,12}(?:提供|帮助|幫助|协助|協助|回答|满足|滿足|支持|讨论|討論|参与|參與|生成|编写|撰寫|写|完成|执行|给|為|为)|作为(?:一个|一個)?(?:人工智能|ai).{0,40}(?:不能|无法|不会)",
        "ja": r"(?:申し訳(?:ありません|ございません|ない)|すみません|ごめんなさい|恐れ入りますが|残念ながら).{0,80}(?:できません|できかねます|いたしかねます|致しかねます|お答えできない|ございません|お断り|控え)|(?:お手伝い|お答え|提供|回答|支援|協力|お応え|対応|サポート|教える|ご案内|説明)(?:を|は|に|すること|する|することは|いたし)*.{0,8}(?:できません|できかねます|しかねます|いたしかねます|致しかねます|お断り)",
        "ko": r"(?:죄송|미안|유감|안타깝).{0,80}(?:수 없|수는 없|않습니다|못합니다|어렵습니다|불가능|할 수가 없|거절)|(?:도와|도움|제공|답변|대답|지원|응답|알려)[가-힣 ]{0,16}(?:수 없|수는 없|어렵습니다|않겠습니다)",
        "ar": r"(?:آسف|أعتذر|عذرا|عذرًا|المعذرة|للأسف|اعتذر|أسف|يؤسفني).{0,60}(?:لا (?:أستطيع|يمكنني|استطيع|يمكن|أقدر|نستطيع)|لن|غير قادر|ليس بإمكاني|لست قادر)|(?:لا (?:أستطيع|يمكنني|استطيع)|لن أ|لست قادرا|غير قادر).{0,20}(?:مساعد|تقديم|أساعد|الإجابة|توفير|كتابة|أقدم|إعطاء|تلبية|المساعدة|القيام)",
        "fa": r"(?:متأسفم|متاسفم|ببخشید|معذرت|پوزش|عذر).{0,80}(?:نمی ?توان|نمیتوان|قادر نیست)|(?:نمی ?توانم|نمیتوانم|قادر نیستم).{0,60}(?:کمک|ارائه|پاسخ)",
        "he": r"(?:מצטער|סליחה|מתנצל|לצערי).{0,60}(?:לא (?:יכול|אוכל|ניתן|מסוגל)|איני יכול|אינני יכול)|(?:לא אוכל|איני יכול|אני לא יכול).{0,20}(?:לעזור|לספק|לסייע|לענות|לכתוב)",
        "hi": r"(?:क्षमा|माफ|माफ़|खेद|अफसोस|अफ़सोस|सॉरी).{0,100}(?:नहीं (?:कर|दे|सक|हूँ|हूं|बता)|असमर्थ|सकता नहीं)|(?:मदद|सहायता|जानकारी|उत्तर|जवाब|प्रदान).{0,30}(?:नहीं (?:कर|दे) ?सक|असमर्थ|नहीं करूंगा|नहीं दे सक)",
        "bn": r"(?:দুঃখিত|ক্ষমা|মাফ).{0,100}(?:পারি না|পারছি না|পারব না|অক্ষম|পারবো না)|(?:সাহায্য|সহায়তা|প্রদান|উত্তর).{0,30}(?:পারি না|পারব না|পারছি না)",
        "ta": r"(?:மன்னிக்க|மன்னிச்|வருந்து).{0,120}(?:முடியாது|இயலாது|முடியவில்லை)",
        "ur": r"(?:معذرت|معاف|افسوس).{0,100}(?:نہیں (?:کر|دے) ?سک|قاصر|سے قاصر)|(?:مدد|فراہم).{0,30}نہیں (?:کر|دے) ?سک",
        "th": r"(?:ขอโทษ|ขออภัย|เสียใจ).{0,80}(?:ไม่สามารถ|ไม่ได้|ช่วยไม่ได้|ไม่อาจ)|(?:ฉัน|ผม|เรา|ดิฉัน)ไม่สามารถ.{0,20}(?:ช่วย|ให้|ตอบ|สนับสนุน|เขียน)",
        "fi": r"\b(?:valitettavasti|pahoittelen|anteeksi|olen pahoillani)\b.{0,60}\ben (?:voi|pysty|saa|voi)\b|\ben (?:voi|pysty|halua)\b.{0,24}(?:autta|anta|vasta|tarjo|kirjoitt)",
        "hu": r"(?:sajnálom|elnézést|sajnos|bocsánat).{0,80}\bnem (?:tudok|tudom|áll|segíthet|adhat)|\bnem (?:tudok|segíthetek|adhatok).{0,30}(?:segít|ad|válasz|nyújt)",
        "tl": r"\b(?:paumanhin|pasensya|ikinalulungkot)\b.{0,60}\b(?:hindi|di) (?:ko|ako|kita|namin)\b",
    }.items()
}  # fmt: skip


def declines_in(opening: str) -> tuple[str, str] | None:
    """Return the language code and the phrase with which a normalised opening declines, if it does."""
    for language, pattern in OTHER_LANGUAGES.items():
        if found := pattern.search(opening):
            return language, found.group(0)
    return None
