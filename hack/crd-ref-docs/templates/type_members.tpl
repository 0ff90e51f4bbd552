{{- define "type_members" -}}
{{- if eq .Name "metadata" -}}
Name, namespace, labels and so on, as of every Kubernetes object.
{{- else -}}
{{ template "doc" .Doc }}
{{- end -}}
{{- end -}}

{{- /* A comment in one cell of a table. */ -}}
{{- define "doc" -}}
{{- markdownRenderFieldDoc . | trimSuffix "<br />" | replace "<br />" "\n" | replace "<" "&lt;" | replace "\n" "<br>" -}}
{{- end -}}
