package extension

import (
	"slices"

	"github.com/isvkit/isvkit/openapi/requirements"
)

const (
	must   = requirements.Must
	should = requirements.Should
)

// Figures of the rules.
const (
	maxUpload      = 1 << 20 // bytes, packed, without static files; the texts say "1 MB" and mean what fits into a Kubernetes object
	maxNameLength  = 32      // characters
	minScreenshots = 3
)

// categories that the market's tool knows.
var categories = []string{
	"ai-machine-learning", "deepseek", "database", "observability", "integration-delivery", "networking", "security", "storage",
	"streaming-messaging", "computing", "dev-tools",
}

// sensitive are the resources for which the guide wants a reason.
var sensitive = []string{"clusterrolebindings", "rolebindings", "secrets", "mutatingwebhookconfigurations", "validatingwebhookconfigurations"}

// Rules are all rules, in the order in which they are judged.
func Rules() []Rule { return slices.Clone(rules) }

var rules = []Rule{
	{
		"PKG-1", must, "a folder or a gzipped tar with one folder at its root, of plain files with plain paths, that can be unpacked", Ours,
		"pack it with `ksbuilder package`, leave links out, and put what does not belong into the package into .helmignore",
	},
	{
		"PKG-2", must, "at most 1 MiB packed, without the folder of static files", Tool,
		"move pictures into staticFileDirectory, whose files are uploaded on their own, and leave out what is not installed (.helmignore)",
	},

	{"MAN-1", must, "extension.yaml at the root, one YAML mapping", Guide, "write extension.yaml; `ksbuilder create` makes a first one"},
	{"MAN-2", must, "the fields apiVersion, name, version, displayName, description, category, provider and icon are given", Tool, "add the field"},
	{"MAN-3", must, "every field has the type that the tool reads", Tool, "write it in the type that is expected; a number that is a text needs quotes"},
	{"MAN-4", should, "no field that the tool does not know: it would be passed over in silence", Ours, "correct the name or remove the field"},
	{"MAN-5", must, "apiVersion is v1 or kubesphere.io/v1alpha1", Guide, "write apiVersion: v1"},

	{
		"NAME-1", must, "a name of lower-case letters, digits, - and ., beginning and ending with a letter or digit (DNS-1123 subdomain)", Tool,
		"choose another name; it can't be changed once the extension is listed",
	},
	{"NAME-2", must, "a name of at most 32 characters", Guide, "choose a shorter name"},
	{
		"NAME-3", should, "a name of lower-case letters and digits alone; the tool takes - and . too, the guide does not", Guide,
		"leave out - and . if the name is still open",
	},
	{"NAME-4", must, "namespace is a DNS-1123 label of at most 63 characters", Ours, "correct it, or leave it out: the default is extension-NAME"},

	{"VER-1", must, "version follows semantic versioning, such as 1.4.0 or 1.4.0-rc.1, without a leading v", Guide, "write MAJOR.MINOR.PATCH"},
	{"VER-2", must, "kubeVersion and ksVersion are ranges of versions, such as \">=1.19.0\" or \">=3.4.0 <5.0.0\"", Guide, "correct the range"},

	{"LANG-1", must, "languages are ISO 639-1 codes of two letters", Guide, "use codes such as zh, en, ja"},
	{"LANG-2", must, "displayName and description in zh and en, none of them empty", Guide, "add the language; en is what is shown where the user's language is missing"},
	{"LANG-3", should, "provider in zh and en", Guide, "add the language with name, email and url"},

	{"PROV-1", must, "every provider has a name", Ours, "write the company's or the author's name"},
	{"PROV-2", should, "addresses of mail and web are well-formed: name@host, http:// or https://", Ours, "correct the address"},
	{"CAT-1", must, "category is one that the market has: " + list(categories), Tool, "choose the nearest category; `ksbuilder category` lists them"},

	{
		"ICON-1", must, "icon is a file of the package, a data:image URI or an http(s) address, and the picture is an SVG, PNG, JPEG, GIF or WebP", Tool,
		"give the path relative to extension.yaml, such as ./static/favicon.svg",
	},
	{"SHOT-1", must, "at least 3 screenshots", Market, "add pictures under staticFileDirectory and name them in screenshots"},
	{"SHOT-2", must, "every screenshot is there, and is a JPEG or PNG", Market, "save the picture as PNG or JPEG and correct the path"},
	{
		"STAT-1", should, "staticFileDirectory names a folder of the package, and icon and screenshots lie in it", Guide,
		"move the pictures into one folder, such as static, and name it",
	},

	{"DOC-1", must, "README.md in English and README_zh.md in Chinese, not empty", Market, "tell what it does, how to begin, and how to obtain a licence"},
	{"DOC-2", must, "CHANGELOG.md, not empty", Market, "tell per version what has changed"},
	{"DOC-3", should, "CHANGELOG_zh.md, not empty", Guide, "tell per version what has changed, in Chinese"},

	{
		"DEP-1", must, "every dependency has a name of its own and a sub-chart of that name in charts/, or a repository", Guide,
		"put the sub-chart into charts/NAME, or remove the dependency",
	},
	{"DEP-2", should, "sub-charts lie in the package: a remote repository may be out of reach where it is installed", Guide, "put the sub-chart into charts/ and drop repository"},
	{"DEP-3", should, "tags are extension (host cluster) or agent (member clusters)", Guide, "tag the sub-chart with extension or agent"},
	{"DEP-4", must, "installationMode is HostOnly or Multicluster, and with Multicluster a dependency is tagged agent", Guide, "correct the mode, or tag what goes to the member clusters with agent"},
	{"DEP-5", must, "every external dependency has name, type extension and a range of versions", Guide, "add what is missing"},
	{"CHART-1", must, "every sub-chart has Chart.yaml with apiVersion v2 or v1, name and a semantic version", Guide, "correct Chart.yaml"},
	{"CHART-2", must, "every values.yaml is a YAML mapping or empty", Guide, "correct values.yaml"},
	{"CHART-3", must, "every template can be parsed", Tool, "correct the template; `helm lint` shows the place too"},
	{"CHART-4", should, "there is a sub-chart in charts/, or a template at the root: otherwise nothing is installed", Ours, "add the sub-charts frontend and backend"},

	{
		"PERM-1", should, "permissions.yaml says what the installation may do: without it nothing may be created", Guide,
		"write a ClusterRole and a Role with what the charts create",
	},
	{"PERM-2", must, "permissions.yaml holds documents of kind ClusterRole or Role with a list of rules", Guide, "correct permissions.yaml"},
	{"PERM-3", should, "the least privilege: no rule for all verbs on all resources, and none for sensitive resources without need", Guide, "name the verbs and resources that the charts need"},

	{"IMG-1", should, "images lists what the charts run", Tool, "add images: with every image and its tag"},
	{"IMG-2", must, "every image in images is a reference with a tag or a digest", Ours, "write it as docker.io/company/name:1.4.0"},
	{"IMG-3", should, "no image is tagged latest: nobody could tell what was reviewed", Ours, "give a version as the tag"},
	{"IMG-4", should, "every image in images is used by a chart (read from values and templates, not rendered)", Tool, "remove it, or correct its name and tag"},
	{"IMG-5", should, "every image that a chart uses is in images, so that it can be mirrored for clusters without Internet", Ours, "add it to images"},
	{"GLOB-1", should, "templates with containers honour global.imageRegistry (read, not rendered)", Tool, "put .Values.global.imageRegistry before the repository, best in a helper"},
	{"GLOB-2", should, "workloads honour global.nodeSelector (read, not rendered)", Tool, "add .Values.global.nodeSelector to the pod's nodeSelector"},
}
