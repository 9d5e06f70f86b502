"""Record what open_clip's SimpleTokenizer makes of captions in many scripts.

Needs the Python packages open_clip_torch (its tokenizer.py alone is loaded, without torch), regex and ftfy:

    python tests/parity/tokenizer_fixture.py PATH/TO/open_clip VERSION > tests/data/runtime/tokenizer.json

Mending by ftfy is left out of cztc on purpose: it is switched off here, and captions that it changes (other
than by resolving HTML references, which the tokenizer does itself) are refused.
"""
import importlib.util
import json
import sys
import types

import ftfy

LENGTHS = (77, 16)

PLAIN = """
a photo of a cat
A Photo Of A CAT!
two dogs -- playing, in the park...
it's the dog's ball; they're happy, we'll see, I'd say I'm sure you've been, don't
IT'S THE DOG'S BALL; THEY'RE HAPPY, WE'LL SEE
rock'n'roll 'tis the season 'twas 's 't 're
$1,299.99 (20% off) #sale @home
3d render of 4k wallpaper, 1920x1080, 16:9
user_name@example.com https://example.com/path?a=1&b=2#frag
C++ and C# and F# code: x += y->z[3] && !q || ~w;
hello<start_of_text>world<end_of_text>again
!!!<end_of_text>??? <start_of_text
  leading   and trailing	tabs

a_b_c __init__ --option=value /usr/local/bin
1234567890 0000 007 3.14159
Supercalifragilisticexpialidocious antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis
xyzzy qwertyuiop zxcvbnm asdfghjkl
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
ababababababababababababab hahahahahahahahaha
e.g. i.e. etc. vs. Mr. Smith's U.S.A. N.Y.C.
(((nested [brackets] {curly} <angle>)))
"quoted" `ticks` ^caret^ |pipe| \\backslash\\ ~tilde~
:-) ;-) :D <3 ^_^ (╯°□°)╯︵ ┻━┻
"""

SCRIPTS = """
Un café très élégant à Montréal, où l'été est doux
ÀÉÎÕÜ àéîõü ÇÑŠŽ çñšž ŁØÅÆ łøåæ
Größe, Straße, ÜBERMÄSSIG, Fußgängerübergänge
El niño comió piñas en España, ¿verdad? ¡Sí!
Zażółć gęślą jaźń, ŻÓŁĆ
Příliš žluťoučký kůň úpěl ďábelské ódy
Árvíztűrő tükörfúrógép
İstanbul'da ışıklı bir gece, DİYARBAKIR, ığdır
Þetta er íslenska með ð og æ
Tiếng Việt: một con mèo đang ngủ trên ghế
România: țară, șarpe, înălțime
Latviešu ēšana, Lietuvių ąžuolas
ɪntəˈnæʃənəl fəˈnɛtɪk ˈælfəbɛt
Ένας σκύλος παίζει στο πάρκο
Ο ΟΔΥΣΣΕΥΣ ΚΑΙ Ο ΣΙΣΥΦΟΣ, ΣΑΣ Σ ΑΣ. Σ'
ΣΊΣΥΦΟΣ ΌΣΤΙΣ (ΛΌΓΟΣ) ΛΌΓΟΣ-ΛΌΓΟΣ
ἀρχὴ σοφίας, ᾳ ῥ ὦ
Кошка сидит на окне
СОБАКА БЕЖИТ ПО УЛИЦЕ, ёлка и ЁЖ
Київ — столиця України, їжак, ґанок
Београд је главни град Србије, љубав, њива
Қазақстан Республикасы, ұлт, өмір
Монгол улс, Улаанбаатар хот
قطة تجلس على السجادة
مَرْحَبًا بِالعَالَمِ
کتاب‌های فارسی و گربه‌ها ۱۲۳۴
یہ اردو میں ایک جملہ ہے۔
חתול יושב על השטיח
שָׁלוֹם עֲלֵיכֶם, צה״ל ג׳ירפה
एक बिल्ली चटाई पर बैठी है
नमस्ते दुनिया, १२३४५ हिन्दी में
বাংলা ভাষায় একটি বিড়াল
தமிழ் மொழியில் ஒரு பூனை
తెలుగులో ఒక పిల్లి
ಕನ್ನಡದಲ್ಲಿ ಬೆಕ್ಕು
മലയാളത്തിൽ ഒരു പൂച്ച
ਪੰਜਾਬੀ ਵਿੱਚ ਬਿੱਲੀ
ગુજરાતીમાં બિલાડી
සිංහල භාෂාවෙන් බළලා
แมวนั่งอยู่บนเสื่อ
ภาษาไทย ๑๒๓ ๔๕๖ น้ำ
ແມວນັ່ງຢູ່ເທິງເສື່ອ
ខ្មែរ ឆ្មាអង្គុយលើកន្ទេល
မြန်မာဘာသာ ကြောင်
བོད་སྐད། བྱི་ལ།
猫坐在垫子上
一只可爱的小猫在花园里玩耍、阳光明媚。
繁體中文、臺灣的貓咪「你好」
日本語のテキスト、猫がマットに座っています。
ひらがな カタカナ 漢字 ヴァイオリン ー
東京タワー2024年5月1日〔水〕
고양이가 매트 위에 앉아 있다
한국어 텍스트 서울특별시 ㅋㅋㅋ
ქართული ენა, კატა ზის
Հայերեն լեզու, ԿԱՏՈՒ և
አማርኛ ቋንቋ ድመት
ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ
ᐃᓄᒃᑎᑐᑦ
ⵜⴰⵎⴰⵣⵉⵖⵜ
𐌲𐌿𐍄𐌹𐍃𐌺 𝕳𝖊𝖑𝖑𝖔 𝒲𝑜𝓇𝓁𝒹
"""

SIGNS = """
😀 😂 🥰 emoji only 🎉🎉🎉
👨‍👩‍👧‍👦 family, 👍🏽 thumbs, 🏳️‍🌈 flag, 🇩🇪🇫🇷
❤️ ☀️ ☎️ ✈️ ♻️ ©️ ™️
★☆✓✗→←↑↓⇒∀∃∈∑∏√∞≈≠≤≥
½ ¼ ¾ ² ³ ¹ ⅓ Ⅷ ⅻ ① ② ③ ㊗
€100 £20 ¥3000 ₹500 ₽ ₿ ¢
5µm 20°C ±3 5×7 10÷2 §3 ¶4
x² + y² = z², H₂O, CO₂, E=mc²
a·b·c a•b a‧b … – —
«guillemets» ‹single›
ªº ʰʲ ᵃᵇ Ⓐⓑ
naïve Ångström 10Å K 273K
ſtraße 'ſ Hauſ
x​y zero‍width⁠joiner
♩♪♫♬ ♠♣♥♦ ♔♕♖
─│┌┐└┘ ░▒▓█ ▀▄
⠓⠑⠇⠇⠕ braille
🀄 🂡 🎲 🧑‍💻 🫠
"""

HTML = """
fish &amp; chips
fish &amp;amp; chips &amp;amp;amp; more
&lt;b&gt;bold&lt;/b&gt; &quot;quoted&quot;
caf&eacute; &Eacute;t&eacute; na&iuml;ve
&#233;&#xe9;&#XE9; &#8364; &#x20AC;
&copy 2024 &reg; &trade; &nbsp;&nbsp;x
&notit; &notin; &not in
AT&T R&D Q&A a&b a & b &
&unknown; &; &# &#; &#x; &#xzz;
&#150; dash &#151; &#x99; &#128;
&lt;start_of_text&gt;
&hearts; &spades; &larr; &rarr; &infin;
&ampamp; &ltlt &gtgt;
&alpha;&beta;&Gamma;&Sigma;&sigmaf;
&CounterClockwiseContourIntegral; &bne; &fjlig;
tom &ndash; jerry &mdash; &hellip;
&#x1F600; &#128512; smile
&aacute&eacute&iacute
&AMP; &LT &QUOT x
"""

MIXED_LEFT = ["A photo of", "fotografía de", "фото", "写真", "تصوير", "תמונה", "फोटो", "ภาพ", "사진",
              "Φωτογραφία"]
MIXED_RIGHT = ["a RED car, 2023", "der Straße №5", "猫 & dog", "🚗 on road 66", "it's Ünïcödé",
               "(high quality) 4K",
               "&quot;Ωmega ΌΡΟΣ&quot; &amp; co", "10 × 20 см", "l'été à PARIS", "東京 2020 🏅"]


def load(folder):
    """The tokenizer module of open_clip with torch replaced by an empty module."""
    torch = types.ModuleType("torch")
    torch.Tensor = torch.LongTensor = object
    sys.modules.setdefault("torch", torch)
    numpy = types.ModuleType("numpy")
    sys.modules.setdefault("numpy", numpy)
    spec = importlib.util.spec_from_file_location("oc_tokenizer", folder + "/tokenizer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def captions():
    for block in (PLAIN, SCRIPTS, SIGNS, HTML):
        for line in block.strip("\n").split("\n"):
            yield line
    for left in MIXED_LEFT:
        for right in MIXED_RIGHT:
            yield f"{left} {right}"
    yield ""
    yield "   \t  "
    yield "line one\nline two\n\nline three\tfour\x0cfive"
    yield "no-break space thin ideographic　end"
    yield "word " * 100
    yield "很" * 90


def main():
    folder, version = sys.argv[1:3]
    tokenizer = load(folder).SimpleTokenizer()
    mend, ftfy.fix_text = ftfy.fix_text, lambda text: text
    rows, skipped = [], 0
    for text in captions():
        if mend(text, unescape_html=False) != text:
            print("ftfy changes:", repr(text), file=sys.stderr)
            skipped += 1
            continue
        tokens = [49406] + tokenizer.encode(text) + [49407]
        row = {"text": text}
        for length in LENGTHS:
            cut = tokens[:length]
            cut[-1] = 49407
            row[str(length)] = cut
        rows.append(row)
    print(len(rows), "captions,", skipped, "skipped", file=sys.stderr)
    head = {"package": "open_clip_torch", "version": version, "captions": rows}
    print(json.dumps(head, ensure_ascii=False).replace('{"text"', '\n{"text"'))


if __name__ == "__main__":
    main()
