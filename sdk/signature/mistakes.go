package signature

import "fmt"

// Mistake names a mistake in the making of a signature. The texts are stable, so that tools can show them in their own words.
type Mistake string

// The mistakes that [Base.Explain], [Kit.Explain], [Usage.Explain] and [V1.ExplainQuery] recognise.
const (
	MistakeKeyAndTimestamp     Mistake = "key-and-timestamp"     // HMAC key is key + timestamp, as in V1
	MistakeKeyWithoutTimestamp Mistake = "key-without-timestamp" // V1: HMAC key lacks the timeStamp
	MistakeKeyBlanks           Mistake = "key-blanks"            // blanks or a line break around the key
	MistakeKeyBase64           Mistake = "key-base64"            // Base64 of the key taken for the key, or the reverse
	MistakeOtherKey            Mistake = "other-key"             // key of another class
	MistakeKeyNotInText        Mistake = "key-not-in-text"       // the text does not start with the key
	MistakeOrder               Mistake = "order"                 // parts in another order
	MistakeSeparators          Mistake = "separators"            // separators that do not belong there, or none
	MistakeNames               Mistake = "names"                 // usage: without ts=, nonce= and body=
	MistakeOtherScheme         Mistake = "other-scheme"          // recipe of another scheme
	MistakeBodyAlone           Mistake = "body-alone"            // only the body was signed
	MistakeSeconds             Mistake = "seconds"               // seconds in the text, milliseconds in the call
	MistakeMilliseconds        Mistake = "milliseconds"          // milliseconds in the text, seconds in the call
	MistakeTimestampForm       Mistake = "timestamp-form"        // signature right, timestamp in another form
	MistakeTimestampLeftOut    Mistake = "timestamp-left-out"    // V1: timeStamp takes no part
	MistakeStale               Mistake = "stale"                 // signature right, timestamp too old or too new

	MistakeHex              Mistake = "hex"               // hexadecimal instead of Base64
	MistakeBase64           Mistake = "base64"            // Base64 instead of hexadecimal
	MistakeBase64OfHex      Mistake = "base64-of-hex"     // Base64 of the hexadecimal text
	MistakeBase64Alphabet   Mistake = "base64-alphabet"   // URL-safe alphabet or no padding
	MistakeSignatureWrapped Mistake = "signature-wrapped" // blanks or quotes around the signature
	MistakeSignatureEscaped Mistake = "signature-escaped" // signature URL-encoded once too often
	MistakeTruncated        Mistake = "truncated"         // only the start of the signature

	MistakeInnerMissing Mistake = "inner-missing"  // base: the body took part instead of its HMAC
	MistakeInnerPresent Mistake = "inner-present"  // kit, usage: a hash of the body took part instead of the body
	MistakeInnerUpper   Mistake = "inner-upper"    // base: body HMAC in upper case
	MistakeInnerPlain   Mistake = "inner-plain"    // plain SHA-256 of the body
	MistakeInnerForm    Mistake = "inner-encoding" // base: body HMAC in Base64 or as bytes

	MistakeEmptyBody       Mistake = "empty-body"          // an empty body was signed
	MistakeQuery           Mistake = "query"               // the query was signed in place of the body
	MistakeFormEncoded     Mistake = "form-encoded"        // the body was signed as a form
	MistakeURLDecoded      Mistake = "url-decoded"         // decoded once too often
	MistakeNewline         Mistake = "newline"             // line break or blanks around the body, more or less
	MistakeBOM             Mistake = "byte-order-mark"     // byte order mark before the body, more or less
	MistakeDoubleEncoded   Mistake = "double-encoded"      // the body was signed as a JSON string
	MistakeCharset         Mistake = "charset"             // not UTF-8
	MistakeReserialised    Mistake = "reserialised"        // compact, but in arrival order
	MistakeDescending      Mistake = "descending"          // sorted Z to A
	MistakeNestedSorted    Mistake = "nested-sorted"       // sorted below the top level too
	MistakeNullsKept       Mistake = "nulls-kept"          // sorted, with nulls
	MistakeScalarsAsText   Mistake = "scalars-as-text"     // numbers and booleans in quotes
	MistakePrettyPrinted   Mistake = "pretty-printed"      // with line breaks and indents
	MistakeSpaces          Mistake = "spaces"              // with spaces after separators
	MistakeNonASCIIEscaped Mistake = "non-ascii-escaped"   // \uXXXX for what is not ASCII
	MistakeHTMLEscaped     Mistake = "html-escaped"        // \u003c and the like
	MistakeSlashesEscaped  Mistake = "slashes-escaped"     // \/
	MistakeValuesEscaped   Mistake = "values-escaped"      // V1: values URL-encoded
	MistakeBlankForPlus    Mistake = "blank-for-plus"      // V1: a blank for a plus, or the reverse
	MistakeEmptyDropped    Mistake = "empty-dropped"       // V1: empty values take no part
	MistakeLastValue       Mistake = "last-value"          // V1: last value of a repeated name
	MistakeCaseIgnored     Mistake = "letter-case-ignored" // V1: names sorted regardless of letter case
)

const (
	mendBody  = "Sign the very bytes that are sent, and send compact JSON with the top-level names in ascending order."
	mendRun   = "Sign key + nonce + timestamp + payload, without anything in between."
	mendUsage = `Sign "ts=" + ts + "&nonce=" + nonce + "&body=" + body.`
	mendV1    = "Sign name=value, joined by &, with the names in ascending order and the values decoded once."
	mendTime  = "Make one text of the time, in milliseconds, and use it for the signature and for the call."
	mendKey   = "Use the key as the console shows it, byte for byte."
)

var (
	keyAndTimestamp     = Finding{MistakeKeyAndTimestamp, "The HMAC was keyed with key + timestamp, as in V1.", "Key the HMAC with the access key alone."}
	keyWithoutTimestamp = Finding{MistakeKeyWithoutTimestamp, "The HMAC was keyed with the access key alone.", "Key the HMAC with key + timeStamp."}
	timestampBeforeKey  = Finding{MistakeOrder, "The HMAC was keyed with timeStamp + key.", "Key the HMAC with key + timeStamp."}
	keyBlanks           = Finding{MistakeKeyBlanks, "The two sides' keys differ in blanks or line breaks around them.", mendKey}
	keyDecoded          = Finding{MistakeKeyBase64, "The key was decoded from Base64 before it was used; here it is used as text.", "Where the console shows the key in Base64 (the European one), decode it on both sides; elsewhere on neither."}
	keyEncoded          = Finding{MistakeKeyBase64, "The Base64 form of the key was used as the key.", "Where the console shows the key in Base64 (the European one), decode it before use."}
	keyNotInText        = Finding{MistakeKeyNotInText, "The text that was signed does not start with the key.", mendRun}
	wrongOrder          = Finding{MistakeOrder, "The parts of the text were joined in another order.", "Base and kit: key, nonce, timestamp, payload. Usage: ts, nonce, body."}
	separators          = Finding{MistakeSeparators, "The parts of the text were joined with other separators.", "Base and kit join without separators; V1 joins name=value with & and has none at either end."}
	namesMissing        = Finding{MistakeNames, "The parts of the text have other names, or none.", mendUsage}
	usageRecipe         = Finding{MistakeOtherScheme, "The text was made as for the usage push.", mendRun}
	baseRecipe          = Finding{MistakeOtherScheme, "The text was made as for the base and kit interfaces.", mendUsage}
	bodyAlone           = Finding{MistakeBodyAlone, "Only the body (or its hash) was signed, without nonce and timestamp.", "Sign nonce and timestamp too, in the order of the scheme."}
	secondsInText       = Finding{MistakeSeconds, "The text has the timestamp in seconds, the call has it in milliseconds.", mendTime}
	millisInText        = Finding{MistakeMilliseconds, "The text has the timestamp in milliseconds, the call has it in seconds.", mendTime}
	timestampForm       = Finding{MistakeTimestampForm, "The signature is made well, but the timestamp is not in the form this scheme asks for.", "Send Unix milliseconds in 13 digits; in V1, yyyyMMddHHmmssSSS."}
	timestampLeftOut    = Finding{MistakeTimestampLeftOut, "timeStamp took no part in the text.", "timeStamp takes part like every other parameter; only authToken does not."}
	stale               = Finding{MistakeStale, "The signature is made well, but the timestamp is too far from the verifier's clock.", "Set both clocks by NTP, and sign each attempt when it is sent."}

	hexForBase64     = Finding{MistakeHex, "The signature is in hexadecimal digits.", "Encode the 32 bytes of the HMAC in Base64."}
	base64ForHex     = Finding{MistakeBase64, "The signature is in Base64.", "Encode the 32 bytes of the HMAC in hexadecimal digits."}
	base64OfHex      = Finding{MistakeBase64OfHex, "The signature is Base64 of the hexadecimal text.", "Encode the 32 bytes of the HMAC once."}
	base64Alphabet   = Finding{MistakeBase64Alphabet, "The signature is in the URL-safe alphabet of Base64, or without padding.", "Use the standard alphabet with padding: 44 characters."}
	signatureWrapped = Finding{MistakeSignatureWrapped, "There are blanks, line breaks or quotes around the signature.", "Send the signature without anything around it."}
	signatureEscaped = Finding{MistakeSignatureEscaped, "The signature was URL-encoded once too often.", "URL-encode a parameter once, and a header not at all."}
	truncated        = Finding{MistakeTruncated, "The signature is cut off; what is there is right.", "Look for a field or buffer that is too short: 64 hexadecimal digits, 44 characters of Base64."}

	innerMissing      = Finding{MistakeInnerMissing, "The body itself took part in the text (the recipe of the kit interfaces).", "Base interfaces: let the lower-case hexadecimal HMAC of the body take part."}
	innerPresent      = Finding{MistakeInnerPresent, "The HMAC of the body took part in the text (the recipe of the base interfaces).", "Kit and usage: let the body itself take part."}
	innerPlainPresent = Finding{MistakeInnerPlain, "The plain SHA-256 of the body took part in the text.", "Kit and usage: let the body itself take part."}
	innerUpper        = Finding{MistakeInnerUpper, "The hash of the body took part in upper case.", "Write the inner HMAC in lower case; only the result's letter case is free."}
	innerPlain        = Finding{MistakeInnerPlain, "The body was hashed with plain SHA-256, without the key.", "Use HMAC-SHA256 with the access key for the body too."}
	innerBase64       = Finding{MistakeInnerForm, "The HMAC of the body took part in Base64.", "Write the inner HMAC in lower-case hexadecimal digits."}
	innerBytes        = Finding{MistakeInnerForm, "The HMAC of the body took part as 32 bytes.", "Write the inner HMAC in lower-case hexadecimal digits."}

	emptyBody        = Finding{MistakeEmptyBody, "An empty body was signed, not the one that was sent.", "Read the body before it is consumed, keep its bytes, and sign or verify those."}
	querySigned      = Finding{MistakeQuery, "The query was signed in place of the body.", mendBody}
	formEncoded      = Finding{MistakeFormEncoded, "The body was signed as a form or URL-encoded.", mendBody}
	urlDecoded       = Finding{MistakeURLDecoded, "What was signed had been URL-decoded once too often.", "Decode a query once and a body not at all."}
	newline          = Finding{MistakeNewline, "What was signed differs from the body in a line break or blanks at the end or the start.", "Sign the very bytes that are sent; look at what writes the last line break."}
	byteOrderMark    = Finding{MistakeBOM, "What was signed differs from the body in a byte order mark.", "Write UTF-8 without a byte order mark."}
	doubleEncoded    = Finding{MistakeDoubleEncoded, "The body was signed as a JSON string, in quotes.", mendBody}
	charset          = Finding{MistakeCharset, "What was signed was not UTF-8.", "Name UTF-8 wherever text becomes bytes."}
	reserialised     = Finding{MistakeReserialised, "The body was decoded and written again, compact and in the order of arrival.", mendBody}
	sortedDescending = Finding{MistakeDescending, "The names were sorted Z to A.", mendBody}
	namesDescending  = Finding{MistakeDescending, "The names were sorted Z to A.", mendV1}
	nestedSorted     = Finding{MistakeNestedSorted, "The names were sorted below the top level too.", mendBody}
	nullsKept        = Finding{MistakeNullsKept, "Top-level nulls were kept.", "Leave top-level nulls out of the form that is signed."}
	scalarsAsText    = Finding{MistakeScalarsAsText, "Numbers and booleans were signed in quotes, as a map of strings writes them.", "Keep the types of the body, or sign its bytes as they are."}
	prettyPrinted    = Finding{MistakePrettyPrinted, "The body was signed with line breaks and indents.", mendBody}
	separatorsSpaced = Finding{MistakeSpaces, "The body was signed with spaces after colons and commas.", "In Python: json.dumps(..., separators=(',', ':'))."}
	nonASCIIEscaped  = Finding{MistakeNonASCIIEscaped, `Characters beyond ASCII were signed as \uXXXX.`, "Write them raw, in UTF-8; in Python: ensure_ascii=False, in PHP: JSON_UNESCAPED_UNICODE."}
	htmlEscaped      = Finding{MistakeHTMLEscaped, `<, > and & were signed as \u003c and the like.`, "Switch HTML escaping off; in Go: SetEscapeHTML(false), in Gson: disableHtmlEscaping()."}
	slashesEscaped   = Finding{MistakeSlashesEscaped, `Slashes were signed as \/.`, "In PHP: JSON_UNESCAPED_SLASHES."}

	valuesEscaped = Finding{MistakeValuesEscaped, "The values were signed URL-encoded.", mendV1}
	blankForPlus  = Finding{MistakeBlankForPlus, "A value was signed with + where it arrived with a blank, or the reverse.", "URL-encode + as %2B in the query."}
	emptyDropped  = Finding{MistakeEmptyDropped, "Parameters with an empty value took no part.", "Empty values take part in a query, as name=."}
	lastValue     = Finding{MistakeLastValue, "Of a repeated name the last value was signed.", "Sign the first value, or send a name once."}
	caseIgnored   = Finding{MistakeCaseIgnored, "The names were sorted regardless of letter case.", "Sort upper case before lower case, as Java's String.compareTo."}
)

func otherKey(class string) Finding {
	return Finding{
		MistakeOtherKey, fmt.Sprintf("The signature was made with the key of another class: %q.", class),
		"Each class of interfaces has a key of its own; use the one of this class.",
	}
}
