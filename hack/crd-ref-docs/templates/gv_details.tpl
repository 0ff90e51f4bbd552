{{- define "gvDetails" -}}
{{- $gv := . -}}
Kinds of `{{ $gv.GroupVersionString }}`:
{{ range $gv.SortedKinds }}
- {{ $gv.TypeForKind . | markdownRenderTypeLink }}
{{- end }}

`kubectl explain` shows the same fields: `kubectl explain backend.spec.mcp --recursive`.
{{ range $gv.SortedKinds }}
{{ template "type" $gv.TypeForKind . }}
{{- end }}
## Types
{{ range $gv.SortedTypes }}
{{- if not .GVK }}
{{ template "type" . }}
{{- end }}
{{- end }}
{{- end -}}
