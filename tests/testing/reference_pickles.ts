/**
 * Two references in the layout of RefCOCO+'s "refs(unc).p", as `cPickle.dumps(references, protocol)` of Python 2.7 wrote them: the first has
 * an integer that is `long`, a `unicode` with characters beyond Latin-1, and a `str` that is UTF-8; the second a float and a boolean.
 */
export const referencePickles: readonly string[] = [
  `(lp1\n(dp2\nS'image_id'\np3\nI9\nsS'sent_ids'\np4\n(lp5\nI0\naI1\nasS'sentences'\np6\n(lp7\n(dp8\nS'tokens'\n` +
  `p9\n(lp10\nS'navy'\np11\naS'shirt'\np12\nasS'raw'\np13\nS'Navy "shirt"!'\np14\nsS'sent_id'\np15\nI0\nsS'sent` +
  `'\np16\nS'navy shirt'\np17\nsa(dp18\ng9\n(lp19\nsg13\nVit\\u2019s caf\xe9\\u000a\np20\nsg15\nI1\nsg16\nS"wom` +
  `an's caf\\xc3\\xa9 a\\\\b"\np21\nsasS'split'\np22\nS'testA'\np23\nsS'file_name'\np24\nS'COCO_train2014_00000` +
  `0000009_16.jpg'\np25\nsS'category_id'\np26\nI1\nsS'ann_id'\np27\nI1719310\nsS'ref_id'\np28\nL16L\nsa(dp29\ng` +
  `27\nI2\nsg28\nI17\nsg3\nI70\nsS'score'\np30\nF1.5\nsS'done'\np31\nI01\nsg22\nS'val'\np32\nsg6\n(lp33\n(dp34\n` +
  `g16\nVdog\np35\nsasa.`,
  `]q\x01(}q\x02(U\x08image_idq\x03K\x09U\x08sent_idsq\x04]q\x05(K\x00K\x01eU\x09sentencesq\x06]q\x07(}q\x08(U\x06` +
  `tokensq\x09]q\n(U\x04navyq\x0bU\x05shirtq\x0ceU\x03rawq\x0dU\x0dNavy "shirt"!q\x0eU\x07sent_idq\x0fK\x00U\x04` +
  `sentq\x10U\nnavy shirtq\x11u}q\x12(h\x09]h\x0dX\x0d\x00\x00\x00it\xe2\x80\x99s caf\xc3\xa9\nq\x13h\x0fK\x01h` +
  `\x10U\x11woman's caf\xc3\xa9 a\\bq\x14ueU\x05splitq\x15U\x05testAq\x16U\x09file_nameq\x17U"COCO_train2014_00` +
  `0000000009_16.jpgq\x18U\x0bcategory_idq\x19K\x01U\x06ann_idq\x1aJ\x0e<\x1a\x00U\x06ref_idq\x1bL16L\nu}q\x1c(` +
  `h\x1aK\x02h\x1bK\x11h\x03KFU\x05scoreq\x1dG?\xf8\x00\x00\x00\x00\x00\x00U\x04doneq\x1eI01\nh\x15U\x03valq\x1f` +
  `h\x06]q }q!h\x10X\x03\x00\x00\x00dogq"saue.`,
  `\x80\x02]q\x01(}q\x02(U\x08image_idq\x03K\x09U\x08sent_idsq\x04]q\x05(K\x00K\x01eU\x09sentencesq\x06]q\x07(}` +
  `q\x08(U\x06tokensq\x09]q\n(U\x04navyq\x0bU\x05shirtq\x0ceU\x03rawq\x0dU\x0dNavy "shirt"!q\x0eU\x07sent_idq\x0f` +
  `K\x00U\x04sentq\x10U\nnavy shirtq\x11u}q\x12(h\x09]h\x0dX\x0d\x00\x00\x00it\xe2\x80\x99s caf\xc3\xa9\nq\x13h` +
  `\x0fK\x01h\x10U\x11woman's caf\xc3\xa9 a\\bq\x14ueU\x05splitq\x15U\x05testAq\x16U\x09file_nameq\x17U"COCO_tr` +
  `ain2014_000000000009_16.jpgq\x18U\x0bcategory_idq\x19K\x01U\x06ann_idq\x1aJ\x0e<\x1a\x00U\x06ref_idq\x1b\x8a` +
  `\x01\x10u}q\x1c(h\x1aK\x02h\x1bK\x11h\x03KFU\x05scoreq\x1dG?\xf8\x00\x00\x00\x00\x00\x00U\x04doneq\x1e\x88h\x15` +
  `U\x03valq\x1fh\x06]q }q!h\x10X\x03\x00\x00\x00dogq"saue.`,
];

/** The bytes of one of these. */
export function toBytes(pickle: string): Uint8Array {
  return Uint8Array.from(pickle, (character) => character.charCodeAt(0));
}
