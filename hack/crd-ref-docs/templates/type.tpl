{{- define "type" -}}
{{- $type := . -}}
{{- if markdownShouldRenderType $type -}}
{{ if $type.GVK }}##{{ else }}###{{ end }} {{ $type.Name }}

{{ $type.Doc | replace "<" "&lt;" }}
{{ if $type.References }}
Used in: {{ range $i, $reference := $type.SortedReferences }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $reference }}{{ end }}
{{ end }}
{{- if $type.IsAlias }}
A {{ markdownRenderTypeLink $type.UnderlyingType }}.
{{ end }}
{{- if $type.EnumValues }}
| value | meaning |
| --- | --- |
{{ range $type.EnumValues -}}
| `{{ .Name }}` | {{ template "doc" (regexReplaceAll `^[A-Z]\w+ ` .Doc "") }} |
{{ end }}
{{- end }}
{{- if $type.Members }}
| field | meaning | rules |
| --- | --- | --- |
{{ if $type.GVK -}}
| `apiVersion` | `{{ $type.GVK.Group }}/{{ $type.GVK.Version }}` | |
| `kind` | `{{ $type.GVK.Kind }}` | |
{{ end -}}
{{ range $type.Members -}}
| `{{ .Name }}` _{{ template "field_type" . }}_ | {{ template "type_members" . }} | {{ range .Validation }}{{ if eq . "Required: {}" }}required<br>{{ else if and (ne . "Optional: {}") (ne . "XIntOrString: {}") }}{{ markdownRenderFieldDoc . }}<br>{{ end }}{{ end }} |
{{ end }}
{{- end }}
{{- end -}}
{{- end -}}
